import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readThreadId, ThreadRoots, threadIdText } from './thread-ids.ts';

const roots = new ThreadRoots();
function digest(...fields: string[]): string {
  return roots.digest(Buffer.from(`${fields.join('\r\n')}\r\n\r\nReferences: <in-the-body@x>\r\n`, 'latin1'));
}

test('without any Message ID a message is alone with its copies', () => {
  for (const fields of [
    [],
    ['Subject: Re: hello'],
    ['Message-ID: none'],
    ['References: <a> <@b> nobody', 'In-Reply-To: your mail of Monday'],
  ]) {
    assert.equal(digest(...fields), '', fields.join());
  }
  assert.equal(roots.digest(new Uint8Array(0)), '');
  assert.equal(threadIdText('', 'M12'), 'TM12');
  assert.deepEqual(readThreadId('TM12'), { emailId: 'M12' });
});

test('a conversation is named by the message that began it', () => {
  const root = digest('Message-ID: <root@x>');
  assert.match(root, /^[0-9a-f]{24}$/);
  for (const fields of [
    ['Message-ID: <b@x>', 'In-Reply-To: <root@x>'],
    ['In-Reply-To: Your message of "Monday" <root@x>', 'Message-ID: <b@x>'],
    ['Message-ID: <c@x>', 'In-Reply-To: <b@x>', 'References: <root@x> <b@x>'],
    ['Message-ID: <c@x>', 'references : <"root"@x>\r\n\t<b@x>'],
    ['References: <root@x>'],
    ['References: nothing', 'In-Reply-To: <root@x>'],
    [`References: <root@x> ${'<more@x> '.repeat(5_000)}`],
  ]) {
    assert.equal(digest(...fields), root, fields.join().slice(0, 80));
  }
  assert.notEqual(digest('Message-ID: <Root@x>'), root);
  assert.notEqual(digest('Message-ID: <root@x>', 'References: <other@x>'), root);
});

test('what is no THREADID is told from one', () => {
  for (const text of ['', 'T', 'T1', 'TM', 'TM0', 'M1', 'Tabc', `T${'0'.repeat(25)}`, `T${'A'.repeat(24)}`, `t${'0'.repeat(24)}`]) {
    assert.equal(readThreadId(text), undefined, text);
  }
  const text = threadIdText(digest('Message-ID: <root@x>'), 'M1');
  assert.deepEqual(readThreadId(text), { digest: text.slice(1) });
});
