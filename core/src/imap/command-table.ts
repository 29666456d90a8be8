/** All commands of the core. A command that is not here does not exist, nor do its capabilities. */
import type { Command } from './command.ts';
import { append } from './commands/append.ts';
import { authenticate } from './commands/authenticate.ts';
import { capability } from './commands/capability.ts';
import { check } from './commands/check.ts';
import { close, unselect } from './commands/close.ts';
import { compress } from './commands/compress.ts';
import { copy } from './commands/copy.ts';
import { create } from './commands/create.ts';
import { deleteMailbox } from './commands/delete.ts';
import { deleteAcl } from './commands/deleteacl.ts';
import { enable } from './commands/enable.ts';
import { expunge, uidExpunge } from './commands/expunge.ts';
import { fetch } from './commands/fetch.ts';
import { getAcl } from './commands/getacl.ts';
import { id } from './commands/id.ts';
import { idle } from './commands/idle.ts';
import { list } from './commands/list.ts';
import { listRights } from './commands/listrights.ts';
import { login } from './commands/login.ts';
import { logout } from './commands/logout.ts';
import { lsub } from './commands/lsub.ts';
import { getMetadata, setMetadata } from './commands/metadata.ts';
import { move } from './commands/move.ts';
import { multisearch } from './commands/multisearch.ts';
import { myRights } from './commands/myrights.ts';
import { namespace } from './commands/namespace.ts';
import { noop } from './commands/noop.ts';
import { notify } from './commands/notify.ts';
import { getQuota, getQuotaRoot, setQuota } from './commands/quota.ts';
import { rename } from './commands/rename.ts';
import { replace } from './commands/replace.ts';
import { search } from './commands/search.ts';
import { examine, select } from './commands/select.ts';
import { setAcl } from './commands/setacl.ts';
import { sort } from './commands/sort.ts';
import { starttls } from './commands/starttls.ts';
import { status } from './commands/status.ts';
import { store } from './commands/store.ts';
import { subscribe, unsubscribe } from './commands/subscribe.ts';
import { thread } from './commands/thread.ts';
import { unauthenticate } from './commands/unauthenticate.ts';

export const commandTable: readonly Command[] = [
  capability,
  noop,
  logout,
  id,
  starttls,
  authenticate,
  login,
  enable,
  compress,
  unauthenticate,
  select,
  examine,
  create,
  deleteMailbox,
  rename,
  subscribe,
  unsubscribe,
  list,
  lsub,
  namespace,
  status,
  append,
  replace,
  idle,
  getQuota,
  getQuotaRoot,
  setQuota,
  getMetadata,
  setMetadata,
  setAcl,
  deleteAcl,
  getAcl,
  listRights,
  myRights,
  notify,
  check,
  close,
  unselect,
  expunge,
  uidExpunge,
  search,
  multisearch,
  sort,
  thread,
  fetch,
  store,
  copy,
  move,
];
