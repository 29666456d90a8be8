-- The tables that matter of a Modoboa database on MySQL.
CREATE TABLE core_user (
  id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  username VARCHAR(254) NOT NULL UNIQUE,
  email VARCHAR(254) NOT NULL,
  password VARCHAR(256) NOT NULL,
  first_name VARCHAR(30) NOT NULL DEFAULT '',
  last_name VARCHAR(30) NOT NULL DEFAULT '',
  is_active TINYINT(1) NOT NULL DEFAULT 1
) DEFAULT CHARSET=utf8mb4;
CREATE TABLE admin_domain (
  id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name VARCHAR(100) NOT NULL UNIQUE,
  quota INT NOT NULL DEFAULT 0,
  type VARCHAR(20) NOT NULL DEFAULT 'domain',
  enabled TINYINT(1) NOT NULL DEFAULT 1
) DEFAULT CHARSET=utf8mb4;
CREATE TABLE admin_mailbox (
  id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  address VARCHAR(252) NOT NULL,
  quota INT NOT NULL DEFAULT 0,
  use_domain_quota TINYINT(1) NOT NULL DEFAULT 0,
  domain_id INT NOT NULL,
  user_id INT NOT NULL
) DEFAULT CHARSET=utf8mb4;
CREATE TABLE admin_domainalias (
  id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name VARCHAR(100) NOT NULL UNIQUE,
  target_id INT NOT NULL,
  enabled TINYINT(1) NOT NULL DEFAULT 1
) DEFAULT CHARSET=utf8mb4;
CREATE TABLE admin_alias (
  id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  address VARCHAR(254) NOT NULL,
  domain_id INT NULL,
  internal TINYINT(1) NOT NULL DEFAULT 0,
  enabled TINYINT(1) NOT NULL DEFAULT 1
) DEFAULT CHARSET=utf8mb4;
CREATE TABLE admin_aliasrecipient (
  id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  address VARCHAR(254) NOT NULL,
  alias_id INT NOT NULL
) DEFAULT CHARSET=utf8mb4;

INSERT INTO admin_domain (id, name, enabled) VALUES (1, 'a.example', 1), (2, 'closed.example', 0);
INSERT INTO admin_domainalias (name, target_id) VALUES ('b.example', 1);
INSERT INTO core_user (id, username, email, password, is_active) VALUES
  (1, 'ada@a.example', 'ada@a.example', @hash, 1),
  (2, 'bob@a.example', 'bob@a.example', @hash, 1),
  (3, 'full@a.example', 'full@a.example', @hash, 1),
  (4, 'off@a.example', 'off@a.example', @hash, 0),
  (5, 'eve@closed.example', 'eve@closed.example', @hash, 1);
INSERT INTO admin_mailbox (address, quota, domain_id, user_id) VALUES ('ada', 0, 1, 1), ('bob', 0, 1, 2), ('full', 1, 1, 3), ('off', 0, 1, 4), ('eve', 0, 2, 5);
INSERT INTO admin_alias (id, address, domain_id, internal, enabled) VALUES
  (1, 'ada@a.example', 1, 1, 1), (2, 'bob@a.example', 1, 1, 1), (3, 'full@a.example', 1, 1, 1),
  (4, 'info@a.example', 1, 0, 1), (5, 'team@a.example', 1, 0, 1), (6, 'chain@a.example', 1, 0, 1),
  (7, '@a.example', 1, 0, 1), (8, 'oldalias@a.example', 1, 0, 0);
INSERT INTO admin_aliasrecipient (address, alias_id) VALUES
  ('ada@a.example', 1), ('bob@a.example', 2), ('full@a.example', 3), ('ada@a.example', 4),
  ('ada@a.example', 5), ('bob@a.example', 5), ('info@a.example', 6), ('ada@a.example', 7), ('ada@a.example', 8);
