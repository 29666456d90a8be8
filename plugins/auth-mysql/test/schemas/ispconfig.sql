-- The tables that matter of an ISPConfig 3 database.
CREATE TABLE mail_domain (
  domain_id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  server_id INT UNSIGNED NOT NULL DEFAULT 1,
  domain VARCHAR(255) NOT NULL DEFAULT '',
  active ENUM('n','y') NOT NULL DEFAULT 'n'
) DEFAULT CHARSET=utf8mb4;
CREATE TABLE mail_user (
  mailuser_id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  server_id INT UNSIGNED NOT NULL DEFAULT 1,
  email VARCHAR(255) NOT NULL DEFAULT '',
  login VARCHAR(255) NOT NULL DEFAULT '',
  password VARCHAR(255) NOT NULL DEFAULT '',
  name VARCHAR(255) NOT NULL DEFAULT '',
  quota BIGINT NOT NULL DEFAULT -1,
  postfix ENUM('n','y') NOT NULL DEFAULT 'y',
  disableimap ENUM('n','y') NOT NULL DEFAULT 'n',
  disablepop3 ENUM('n','y') NOT NULL DEFAULT 'n',
  disabledeliver ENUM('n','y') NOT NULL DEFAULT 'n',
  disablesmtp ENUM('n','y') NOT NULL DEFAULT 'n'
) DEFAULT CHARSET=utf8mb4;
CREATE TABLE mail_forwarding (
  forwarding_id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  server_id INT UNSIGNED NOT NULL DEFAULT 1,
  source VARCHAR(255) NOT NULL DEFAULT '',
  destination TEXT,
  type ENUM('alias','aliasdomain','forward','catchall') NOT NULL DEFAULT 'alias',
  active ENUM('n','y') NOT NULL DEFAULT 'n'
) DEFAULT CHARSET=utf8mb4;

INSERT INTO mail_domain (domain, active) VALUES ('a.example', 'y'), ('b.example', 'y'), ('closed.example', 'n');
INSERT INTO mail_user (email, login, password, name, quota) VALUES
  ('ada@a.example', 'ada@a.example', @hash, 'Ada', -1),
  ('bob@a.example', 'web1-bob', @hash, 'Bob', 0),
  ('full@a.example', 'full@a.example', @hash, 'Full', 4096),
  ('eve@closed.example', 'eve@closed.example', @hash, 'Eve', 0);
INSERT INTO mail_user (email, login, password, postfix, disableimap) VALUES ('off@a.example', 'off@a.example', @hash, 'n', 'y');
INSERT INTO mail_forwarding (source, destination, type, active) VALUES
  ('info@a.example', 'ada@a.example', 'alias', 'y'),
  ('team@a.example', 'ada@a.example\nbob@a.example', 'forward', 'y'),
  ('chain@a.example', 'info@a.example', 'alias', 'y'),
  ('oldalias@a.example', 'ada@a.example', 'alias', 'n'),
  ('@a.example', 'ada@a.example', 'catchall', 'y'),
  ('@b.example', '@a.example', 'aliasdomain', 'y');
