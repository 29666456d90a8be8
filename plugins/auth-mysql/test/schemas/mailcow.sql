-- The tables that matter of a mailcow database.
CREATE TABLE domain (
  domain VARCHAR(255) NOT NULL PRIMARY KEY,
  description VARCHAR(255),
  backupmx TINYINT(1) NOT NULL DEFAULT 0,
  active TINYINT(1) NOT NULL DEFAULT 1
) DEFAULT CHARSET=utf8mb4;
CREATE TABLE mailbox (
  username VARCHAR(255) NOT NULL PRIMARY KEY,
  password VARCHAR(255) NOT NULL,
  name VARCHAR(255),
  quota BIGINT(20) NOT NULL DEFAULT 102400,
  local_part VARCHAR(255) NOT NULL DEFAULT '',
  domain VARCHAR(255) NOT NULL,
  attributes JSON,
  kind VARCHAR(100) NOT NULL DEFAULT '',
  active TINYINT(1) NOT NULL DEFAULT 1
) DEFAULT CHARSET=utf8mb4;
CREATE TABLE alias (
  id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  address VARCHAR(255) NOT NULL,
  goto TEXT NOT NULL,
  domain VARCHAR(255) NOT NULL,
  active TINYINT(1) NOT NULL DEFAULT 1,
  UNIQUE KEY address (address)
) DEFAULT CHARSET=utf8mb4;
CREATE TABLE alias_domain (
  alias_domain VARCHAR(255) NOT NULL PRIMARY KEY,
  target_domain VARCHAR(255) NOT NULL,
  active TINYINT(1) NOT NULL DEFAULT 1
) DEFAULT CHARSET=utf8mb4;

INSERT INTO domain (domain) VALUES ('a.example');
INSERT INTO domain (domain, active) VALUES ('closed.example', 0);
INSERT INTO alias_domain (alias_domain, target_domain) VALUES ('b.example', 'a.example');
INSERT INTO mailbox (username, password, name, quota, domain, attributes) VALUES
  ('ada@a.example', @hash, 'Ada', 0, 'a.example', '{"imap_access":"1","smtp_access":"1"}'),
  ('bob@a.example', @hash, 'Bob', 0, 'a.example', '{}'),
  ('full@a.example', @hash, 'Full', 4096, 'a.example', '{"imap_access":"1"}'),
  ('noimap@a.example', @hash, 'No', 0, 'a.example', '{"imap_access":"0","smtp_access":"1"}'),
  ('eve@closed.example', @hash, 'Eve', 0, 'closed.example', '{}');
INSERT INTO mailbox (username, password, domain, attributes, active) VALUES
  ('off@a.example', @hash, 'a.example', '{}', 0),
  ('nologin@a.example', @hash, 'a.example', '{}', 2);
INSERT INTO mailbox (username, password, domain, attributes, kind) VALUES ('room@a.example', @hash, 'a.example', '{}', 'location');
INSERT INTO alias (address, goto, domain) VALUES
  ('ada@a.example', 'ada@a.example', 'a.example'),
  ('bob@a.example', 'bob@a.example', 'a.example'),
  ('full@a.example', 'full@a.example', 'a.example'),
  ('info@a.example', 'ada@a.example', 'a.example'),
  ('team@a.example', 'ada@a.example,bob@a.example', 'a.example'),
  ('chain@a.example', 'info@a.example', 'a.example'),
  ('@a.example', 'ada@a.example', 'a.example');
INSERT INTO alias (address, goto, domain, active) VALUES ('oldalias@a.example', 'ada@a.example', 'a.example', 0);
