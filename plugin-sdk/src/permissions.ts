/** What a plugin must declare before it is given the thing. */

/** What a plugin must declare before its types and its context carry the thing; the administrator sees the list. */
export type Permission =
  | 'plaintext' // content, header fields, search terms of the accounts in scope
  | 'credentials' // the octets of passwords and tokens; without it a Secret is a closed handle
  | 'network' // calls out of the host
  | 'schedule' // work at its own hours, with no client waiting
  | 'write'; // stores, flags, moves and expunges mail

/** Stands where something would be that the plugin did not ask for, so that the compiler's message names the permission. */
export interface Needs<Name extends Permission> {
  readonly needsPermission: Name;
}

export type With<P extends Permission, Name extends Permission, T> = [Name] extends [P] ? T : Needs<Name>;
