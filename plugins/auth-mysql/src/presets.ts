/** The table layouts of six products, as they are documented in public. */
import type { PresetName, Tables } from './mapping.ts';

export const presets: Readonly<Record<PresetName, Tables>> = {
  postfixadmin: {
    users: {
      table: 'mailbox',
      columns: { address: 'username', password: 'password', quota: 'quota', displayName: 'name', active: 'active' },
    },
    aliases: { table: 'alias', columns: { address: 'address', target: 'goto', active: 'active' }, catchAll: ['@domain'] },
    domains: { table: 'domain', columns: { name: 'domain', active: 'active' } },
    domainAliases: { table: 'alias_domain', columns: { name: 'alias_domain', target: 'target_domain', active: 'active' } },
    quotaUnit: 'octets',
  },
  iredmail: {
    users: {
      table: 'mailbox',
      columns: {
        address: 'username',
        password: 'password',
        quota: 'quota',
        displayName: 'name',
        active: 'active',
        receives: 'enabledeliver',
        imap: 'enableimap',
        submission: 'enablesmtp',
      },
    },
    aliases: { table: 'forwardings', columns: { address: 'address', target: 'forwarding', active: 'active' }, catchAll: ['domain'] },
    domains: { table: 'domain', columns: { name: 'domain', active: 'active' } },
    domainAliases: { table: 'alias_domain', columns: { name: 'alias_domain', target: 'target_domain', active: 'active' } },
    quotaUnit: 'MiB',
  },
  ispconfig: {
    users: {
      table: 'mail_user',
      columns: {
        address: 'email',
        login: 'login',
        password: 'password',
        quota: 'quota',
        displayName: 'name',
        receives: { column: 'postfix', on: ['y'] },
        imap: { column: 'disableimap', on: ['n'] },
        submission: { column: 'disablesmtp', on: ['n'] },
      },
    },
    aliases: {
      table: 'mail_forwarding',
      columns: { address: 'source', target: 'destination', active: 'active' },
      where: { type: ['alias', 'forward', 'catchall'] },
      catchAll: ['@domain'],
    },
    domains: { table: 'mail_domain', columns: { name: 'domain', active: 'active' } },
    domainAliases: {
      table: 'mail_forwarding',
      columns: { name: 'source', target: 'destination', active: 'active' },
      where: { type: ['aliasdomain'] },
      form: '@domain',
    },
    quotaUnit: 'octets',
  },
  mailcow: {
    users: {
      table: 'mailbox',
      columns: {
        address: 'username',
        password: 'password',
        quota: 'quota',
        displayName: 'name',
        active: 'active',
        receives: { column: 'active', on: ['1', '2'] }, // 2: takes mail, refuses logins
        imap: { column: 'attributes', key: 'imap_access' },
        submission: { column: 'attributes', key: 'smtp_access' },
      },
      where: { kind: [''] }, // else a room or a resource
    },
    aliases: { table: 'alias', columns: { address: 'address', target: 'goto', active: 'active' }, catchAll: ['@domain'] },
    domains: { table: 'domain', columns: { name: 'domain', active: 'active' } },
    domainAliases: { table: 'alias_domain', columns: { name: 'alias_domain', target: 'target_domain', active: 'active' } },
    quotaUnit: 'octets',
  },
  vimbadmin: {
    users: {
      table: 'mailbox',
      columns: {
        address: 'username',
        password: 'password',
        quota: 'quota',
        displayName: 'name',
        active: 'active',
        imap: { column: 'access_restriction', contains: ['ALL', 'IMAP'] },
        submission: { column: 'access_restriction', contains: ['ALL', 'SMTP'] },
      },
    },
    aliases: { table: 'alias', columns: { address: 'address', target: 'goto', active: 'active' }, catchAll: ['@domain'] },
    domains: { table: 'domain', columns: { name: 'domain', active: 'active' } },
    quotaUnit: 'octets',
  },
  modoboa: {
    users: {
      table: 'core_user',
      columns: {
        address: 'core_user.email',
        login: 'core_user.username',
        password: 'core_user.password',
        quota: 'admin_mailbox.quota',
        active: 'core_user.is_active',
      },
      joins: [{ table: 'admin_mailbox', left: 'admin_mailbox.user_id', right: 'core_user.id' }],
    },
    aliases: {
      table: 'admin_alias',
      columns: { address: 'admin_alias.address', target: 'admin_aliasrecipient.address', active: 'admin_alias.enabled' },
      joins: [{ table: 'admin_aliasrecipient', left: 'admin_aliasrecipient.alias_id', right: 'admin_alias.id' }],
      catchAll: ['@domain', '*@domain'],
    },
    domains: { table: 'admin_domain', columns: { name: 'name', active: 'enabled' } },
    domainAliases: {
      table: 'admin_domainalias',
      columns: { name: 'admin_domainalias.name', target: 'admin_domain.name', active: 'admin_domainalias.enabled' },
      joins: [{ table: 'admin_domain', left: 'admin_domain.id', right: 'admin_domainalias.target_id' }],
    },
    quotaUnit: 'MiB',
  },
};
