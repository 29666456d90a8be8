import type { HookName, Permission } from '@pochard/plugin-sdk';

/** A plugin could not do its part of a call: NO [UNAVAILABLE], 451 or 454, 503. The cause has been logged by the guard. */
export class HookUnavailable extends Error {
  readonly hook: HookName;
  readonly plugin: string;
  constructor(hook: HookName, plugin: string, reason: string, options?: ErrorOptions) {
    super(`${plugin} at ${hook}: ${reason}`, options);
    this.name = 'HookUnavailable';
    this.hook = hook;
    this.plugin = plugin;
  }
}

/** A plugin cannot be loaded; the server does not start, or goes on with the plugins that it has. The message is for the administrator. */
export class PluginLoadError extends Error {
  readonly plugin: string;
  constructor(plugin: string, message: string, options?: ErrorOptions) {
    super(`plugin ${plugin}: ${message}`, options);
    this.name = 'PluginLoadError';
    this.plugin = plugin;
  }
}

/** A plugin touched what it has not asked for. */
export class PermissionMissing extends Error {
  readonly permission: Permission;
  constructor(permission: Permission, member: string) {
    super(`${member} needs the permission '${permission}': add it to the plugin's permissions`);
    this.name = 'PermissionMissing';
    this.permission = permission;
  }
}
