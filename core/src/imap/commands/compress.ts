import { defineCommand } from '../command.ts';
import { ImapNo } from '../errors.ts';
import { args } from '../grammar/args.ts';
import { upperAtom } from '../grammar/strings.ts';

/** COMPRESS DEFLATE: RFC 4978. Both ways are compressed from the end of the tagged OK on. */
export const compress = defineCommand({
  name: 'COMPRESS',
  states: ['authenticated'],
  capability: 'COMPRESS=DEFLATE',
  leavesAtRest: true,
  mayExpunge: true,
  args: args({ mechanism: upperAtom }),

  handle({ session: { wire } }, { mechanism }) {
    if (mechanism !== 'DEFLATE') throw new ImapNo('CANNOT', 'Unknown compression mechanism');
    if (wire.isCompressed) throw new ImapNo('COMPRESSIONACTIVE', 'Compression is on already');
    return { text: 'DEFLATE active', after: 'compress' };
  },
});
