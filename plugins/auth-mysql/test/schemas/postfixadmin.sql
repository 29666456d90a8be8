-- The tables that matter of a PostfixAdmin database.
CREATE TABLE domain (
  domain VARCHAR(255) NOT NULL PRIMARY KEY,
  description VARCHAR(255) NOT NULL DEFAULT '',
  aliases INT NOT NULL DEFAULT 0,
  mailboxes INT NOT NULL DEFAULT 0,
  maxquota BIGINT NOT NULL DEFAULT 0,
  quota BIGINT NOT NULL DEFAULT 0,
  transport VARCHAR(255) NOT NULL DEFAULT 'virtual',
  backupmx TINYINT(1) NOT NULL DEFAULT 0,
  active TINYINT(1) NOT NULL DEFAULT 1
) DEFAULT CHARSET=utf8mb4;
CREATE TABLE mailbox (
  username VARCHAR(255) NOT NULL PRIMARY KEY,
  password VARCHAR(255) NOT NULL,
  name VARCHAR(255) NOT NULL DEFAULT '',
  maildir VARCHAR(255) NOT NULL DEFAULT '',
  quota BIGINT NOT NULL DEFAULT 0,
  local_part VARCHAR(255) NOT NULL DEFAULT '',
  domain VARCHAR(255) NOT NULL,
  active TINYINT(1) NOT NULL DEFAULT 1,
  KEY domain (domain)
) DEFAULT CHARSET=utf8mb4;
CREATE TABLE alias (
  address VARCHAR(255) NOT NULL PRIMARY KEY,
  goto TEXT NOT NULL,
  domain VARCHAR(255) NOT NULL,
  active TINYINT(1) NOT NULL DEFAULT 1
) DEFAULT CHARSET=utf8mb4;
CREATE TABLE alias_domain (
  alias_domain VARCHAR(255) NOT NULL PRIMARY KEY,
  target_domain VARCHAR(255) NOT NULL,
  active TINYINT(1) NOT NULL DEFAULT 1
) DEFAULT CHARSET=utf8mb4;

INSERT INTO domain (domain) VALUES ('a.example'), ('b.example');
INSERT INTO domain (domain, active) VALUES ('closed.example', 0);
INSERT INTO alias_domain (alias_domain, target_domain) VALUES ('b.example', 'a.example');
INSERT INTO mailbox (username, password, name, quota, domain) VALUES
  ('ada@a.example', @hash, 'Ada', 0, 'a.example'),
  ('bob@a.example', @hash, 'Bob', 0, 'a.example'),
  ('full@a.example', @hash, 'Full', 4096, 'a.example'),
  ('eve@closed.example', @hash, 'Eve', 0, 'closed.example');
INSERT INTO mailbox (username, password, domain, active) VALUES ('off@a.example', @hash, 'a.example', 0);
INSERT INTO alias (address, goto, domain) VALUES
  ('ada@a.example', 'ada@a.example', 'a.example'),
  ('bob@a.example', 'bob@a.example', 'a.example'),
  ('full@a.example', 'full@a.example', 'a.example'),
  ('info@a.example', 'ada@a.example', 'a.example'),
  ('team@a.example', 'ada@a.example,bob@a.example', 'a.example'),
  ('chain@a.example', 'info@a.example', 'a.example'),
  ('@a.example', 'ada@a.example', 'a.example');
INSERT INTO alias (address, goto, domain, active) VALUES ('oldalias@a.example', 'ada@a.example', 'a.example', 0);
