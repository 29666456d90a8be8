-- The tables that matter of an iRedMail (MySQL edition) database.
CREATE TABLE domain (
  domain VARCHAR(255) NOT NULL PRIMARY KEY,
  transport VARCHAR(255) NOT NULL DEFAULT 'dovecot',
  backupmx TINYINT(1) NOT NULL DEFAULT 0,
  active TINYINT(1) NOT NULL DEFAULT 1
) DEFAULT CHARSET=utf8mb4;
CREATE TABLE mailbox (
  username VARCHAR(255) NOT NULL PRIMARY KEY,
  password VARCHAR(255) NOT NULL DEFAULT '',
  name VARCHAR(255) NOT NULL DEFAULT '',
  quota BIGINT(20) NOT NULL DEFAULT 0,
  domain VARCHAR(255) NOT NULL DEFAULT '',
  enablesmtp TINYINT(1) NOT NULL DEFAULT 1,
  enablesmtpsecured TINYINT(1) NOT NULL DEFAULT 1,
  enableimap TINYINT(1) NOT NULL DEFAULT 1,
  enableimapsecured TINYINT(1) NOT NULL DEFAULT 1,
  enabledeliver TINYINT(1) NOT NULL DEFAULT 1,
  active TINYINT(1) NOT NULL DEFAULT 1
) DEFAULT CHARSET=utf8mb4;
CREATE TABLE forwardings (
  id BIGINT(20) UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  address VARCHAR(255) NOT NULL DEFAULT '',
  forwarding VARCHAR(255) NOT NULL DEFAULT '',
  domain VARCHAR(255) NOT NULL DEFAULT '',
  dest_domain VARCHAR(255) NOT NULL DEFAULT '',
  is_list TINYINT(1) NOT NULL DEFAULT 0,
  is_forwarding TINYINT(1) NOT NULL DEFAULT 0,
  is_alias TINYINT(1) NOT NULL DEFAULT 0,
  active TINYINT(1) NOT NULL DEFAULT 1,
  UNIQUE KEY address (address, forwarding)
) DEFAULT CHARSET=utf8mb4;
CREATE TABLE alias_domain (
  alias_domain VARCHAR(255) NOT NULL PRIMARY KEY,
  target_domain VARCHAR(255) NOT NULL,
  active TINYINT(1) NOT NULL DEFAULT 1
) DEFAULT CHARSET=utf8mb4;

INSERT INTO domain (domain) VALUES ('a.example');
INSERT INTO domain (domain, active) VALUES ('closed.example', 0);
INSERT INTO alias_domain (alias_domain, target_domain) VALUES ('b.example', 'a.example');
INSERT INTO mailbox (username, password, name, quota, domain) VALUES
  ('ada@a.example', @hash, 'Ada', 100, 'a.example'),
  ('bob@a.example', @hash, 'Bob', 0, 'a.example'),
  ('full@a.example', @hash, 'Full', 1, 'a.example'),
  ('eve@closed.example', @hash, 'Eve', 0, 'closed.example');
INSERT INTO mailbox (username, password, domain, active) VALUES ('off@a.example', @hash, 'a.example', 0);
INSERT INTO mailbox (username, password, domain, enableimap) VALUES ('noimap@a.example', @hash, 'a.example', 0);
INSERT INTO forwardings (address, forwarding, domain, is_forwarding) VALUES
  ('ada@a.example', 'ada@a.example', 'a.example', 1),
  ('bob@a.example', 'bob@a.example', 'a.example', 1),
  ('full@a.example', 'full@a.example', 'a.example', 1);
INSERT INTO forwardings (address, forwarding, domain, is_alias) VALUES
  ('info@a.example', 'ada@a.example', 'a.example', 1),
  ('team@a.example', 'ada@a.example', 'a.example', 1),
  ('team@a.example', 'bob@a.example', 'a.example', 1),
  ('chain@a.example', 'info@a.example', 'a.example', 1),
  ('a.example', 'ada@a.example', 'a.example', 1);
INSERT INTO forwardings (address, forwarding, domain, is_alias, active) VALUES ('oldalias@a.example', 'ada@a.example', 'a.example', 1, 0);
