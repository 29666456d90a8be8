-- The tables that matter of a ViMbAdmin database. It has no domain aliases.
CREATE TABLE domain (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  domain VARCHAR(255) NOT NULL UNIQUE,
  transport VARCHAR(255) NOT NULL DEFAULT 'virtual',
  backupmx TINYINT(1) NOT NULL DEFAULT 0,
  active TINYINT(1) NOT NULL DEFAULT 1
) DEFAULT CHARSET=utf8mb4;
CREATE TABLE mailbox (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  Domain_id BIGINT NOT NULL,
  username VARCHAR(255) NOT NULL UNIQUE,
  password VARCHAR(255) NOT NULL,
  name VARCHAR(255) DEFAULT NULL,
  quota BIGINT NOT NULL DEFAULT 0,
  local_part VARCHAR(255) NOT NULL DEFAULT '',
  active TINYINT(1) NOT NULL DEFAULT 1,
  access_restriction VARCHAR(100) NOT NULL DEFAULT 'ALL',
  delete_pending TINYINT(1) NOT NULL DEFAULT 0
) DEFAULT CHARSET=utf8mb4;
CREATE TABLE alias (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  Domain_id BIGINT NOT NULL,
  address VARCHAR(255) NOT NULL UNIQUE,
  goto LONGTEXT NOT NULL,
  active TINYINT(1) NOT NULL DEFAULT 1
) DEFAULT CHARSET=utf8mb4;

INSERT INTO domain (id, domain, active) VALUES (1, 'a.example', 1), (2, 'closed.example', 0);
INSERT INTO mailbox (Domain_id, username, password, name, quota, active, access_restriction) VALUES
  (1, 'ada@a.example', @hash, 'Ada', 0, 1, 'ALL'),
  (1, 'bob@a.example', @hash, 'Bob', 0, 1, 'IMAP,SMTP'),
  (1, 'full@a.example', @hash, 'Full', 4096, 1, 'ALL'),
  (1, 'noimap@a.example', @hash, 'No', 0, 1, 'SMTP'),
  (1, 'off@a.example', @hash, 'Off', 0, 0, 'ALL'),
  (2, 'eve@closed.example', @hash, 'Eve', 0, 1, 'ALL');
INSERT INTO alias (Domain_id, address, goto, active) VALUES
  (1, 'ada@a.example', 'ada@a.example', 1),
  (1, 'bob@a.example', 'bob@a.example', 1),
  (1, 'full@a.example', 'full@a.example', 1),
  (1, 'info@a.example', 'ada@a.example', 1),
  (1, 'team@a.example', 'ada@a.example,bob@a.example', 1),
  (1, 'chain@a.example', 'info@a.example', 1),
  (1, '@a.example', 'ada@a.example', 1),
  (1, 'oldalias@a.example', 'ada@a.example', 0);
