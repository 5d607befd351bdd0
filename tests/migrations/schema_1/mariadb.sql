-- cookie: v1.xs-Q0Ypxgh1vRx2qQSpH9xQ0uOzhkOdg.0.GI-rI3SZ.PCfKr1wN0mJEEVicljcMnbwjbquf98cc
CREATE TABLE `wsgi_sessions_account` (
  `id` varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `user_id` varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `provider_id` varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `account_id` varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `password_hash` varchar(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `created_at` bigint(20) NOT NULL,
  `updated_at` bigint(20) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `wsgi_sessions_account_provider_id_account_id` (`provider_id`,`account_id`),
  KEY `wsgi_sessions_account_user_id` (`user_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `wsgi_sessions_account` VALUES ('-VYZa20E6sPcHLHnVYsMbJGH','imS3aUpHQtBkJn1TIWfVfcbe','credential','imS3aUpHQtBkJn1TIWfVfcbe','$argon2id$v=19$m=65536,t=3,p=4$8qhTLZMMUSQr/UJGP8Q2Bg$cUIbOyEi/JHbZ4CrwCokiT7MfZXEFTn9GQu/aGiyroY',1795867200000,1795867200000);
INSERT INTO `wsgi_sessions_account` VALUES ('Jhv0qpaaIj4iva3ulH_sol4s','FMBRrqvpsAQKTye612tWc2fp','credential','FMBRrqvpsAQKTye612tWc2fp','$argon2id$v=19$m=65536,t=3,p=4$e0YevL64D3Oe3HTeyG/qYQ$Mf2k7WO2s7WPzFX9DHQ553fcbwdDQYdZ7XBX3u8Yios',1795867200000,1795867200000);
CREATE TABLE `wsgi_sessions_attempt` (
  `id` varchar(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `key` varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `created_at` bigint(20) NOT NULL,
  PRIMARY KEY (`id`),
  KEY `wsgi_sessions_attempt_created_at` (`created_at`),
  KEY `wsgi_sessions_attempt_key_created_at` (`key`,`created_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `wsgi_sessions_attempt` VALUES ('bbwILnCTpfShQuY7vupPK1N20','033234446e9625a5a59ef6529ae18c23736a5889b19825890d50981eb5857b87',1795867500000);
INSERT INTO `wsgi_sessions_attempt` VALUES ('SaBf0jhqg82xTbHEwkf1FWxr0','9254a0b99f57f0c554c586ab499d56baf7dafd7dff0ba1ce07d3bbc98406543a',1795867500000);
INSERT INTO `wsgi_sessions_attempt` VALUES ('bbwILnCTpfShQuY7vupPK1N21','eb81b8d92a40786ff67e18e6dbb22672708d10c72038f3d8a04446c02eb8b47b',1795867500000);
CREATE TABLE `wsgi_sessions_meta` (
  `name` varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `value` varchar(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  PRIMARY KEY (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `wsgi_sessions_meta` VALUES ('user_model','wsgi_sessions_user.id (text)');
CREATE TABLE `wsgi_sessions_one_time_token` (
  `digest` varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `purpose` varchar(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `user_id` varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `value` varchar(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `created_at` bigint(20) NOT NULL,
  `expires_at` bigint(20) NOT NULL,
  `used_at` bigint(20) DEFAULT NULL,
  PRIMARY KEY (`digest`),
  KEY `wsgi_sessions_one_time_token_expires_at` (`expires_at`),
  KEY `wsgi_sessions_one_time_token_user_id_purpose` (`user_id`,`purpose`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `wsgi_sessions_one_time_token` VALUES ('8a586a1c7b4e35a1b2a50ccaa55654981217c9bd8ec27a5a00df82d086f52055','reset-password','FMBRrqvpsAQKTye612tWc2fp','bob@example.org',1795867500000,1795871100000,NULL);
CREATE TABLE `wsgi_sessions_revocation` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `session_id` varchar(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `before` bigint(20) DEFAULT NULL,
  `created_at` bigint(20) NOT NULL,
  PRIMARY KEY (`id`),
  KEY `wsgi_sessions_revocation_created_at` (`created_at`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `wsgi_sessions_revocation` VALUES (1,'9VrZFisYAEHF3xtx0X6FB_Rb',NULL,1795867500000);
INSERT INTO `wsgi_sessions_revocation` VALUES (2,'aeMA4YT02-MwR-mp_W1Sun6E',NULL,1795867500000);
CREATE TABLE `wsgi_sessions_session` (
  `id` varchar(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `user_id` varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `generation` int(11) NOT NULL,
  `branch` varchar(8) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `branch_before` varchar(8) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `is_settled` tinyint(1) NOT NULL,
  `caught_up` tinyint(1) NOT NULL,
  `confirmed_at` bigint(20) NOT NULL,
  `created_at` bigint(20) NOT NULL,
  `authenticated_at` bigint(20) NOT NULL,
  `updated_at` bigint(20) NOT NULL,
  `last_seen_at` bigint(20) NOT NULL,
  `expires_at` bigint(20) NOT NULL,
  `remember` tinyint(1) NOT NULL,
  `ip_address` varchar(45) DEFAULT NULL,
  `user_agent` varchar(512) DEFAULT NULL,
  `data` mediumtext NOT NULL,
  `data_version` int(11) NOT NULL,
  `ended_at` bigint(20) DEFAULT NULL,
  `end_reason` varchar(32) DEFAULT NULL,
  `last_ip_address` varchar(45) DEFAULT NULL,
  `last_user_agent` varchar(512) DEFAULT NULL,
  `authentication` varchar(1024) NOT NULL,
  `provider_sid` varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `wsgi_sessions_session_expires_at` (`expires_at`),
  KEY `wsgi_sessions_session_ended_at` (`ended_at`),
  KEY `wsgi_sessions_session_provider_sid` (`provider_sid`),
  KEY `wsgi_sessions_session_user_id_ended_at` (`user_id`,`ended_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `wsgi_sessions_session` VALUES ('9VrZFisYAEHF3xtx0X6FB_Rb','imS3aUpHQtBkJn1TIWfVfcbe',0,'BujoJNzd',NULL,1,0,1795867200000,1795867200000,1795867200000,1795867200000,1795867200000,1796472000000,1,NULL,NULL,'{}',0,1795867500000,'signed_out',NULL,NULL,'{\"method\":\"password\"}',NULL);
INSERT INTO `wsgi_sessions_session` VALUES ('V6a5uFWw1OyXjR1KBuMclujs','FMBRrqvpsAQKTye612tWc2fp',0,'O7hZ1TLt',NULL,1,0,1795867500000,1795867500000,1795867500000,1795867500000,1795867500000,1795953900000,0,NULL,NULL,'{}',0,NULL,NULL,NULL,NULL,'',NULL);
INSERT INTO `wsgi_sessions_session` VALUES ('aeMA4YT02-MwR-mp_W1Sun6E','FMBRrqvpsAQKTye612tWc2fp',0,'PrsMxX9b',NULL,1,0,1795867200000,1795867200000,1795867200000,1795867200000,1795867200000,1796472000000,1,NULL,NULL,'{}',0,1795867500000,'revoked',NULL,NULL,'{\"method\":\"password\"}',NULL);
INSERT INTO `wsgi_sessions_session` VALUES ('q-6P7VaB4TPaf6CQX6l1XzcY','imS3aUpHQtBkJn1TIWfVfcbe',0,'GI-rI3SZ',NULL,1,0,1795867500000,1795867500000,1795867500000,1795867500000,1795867500000,1796472300000,1,NULL,NULL,'{\"cart\":[\"apple\",\"\\u00c4pfel\"]}',1,NULL,NULL,NULL,NULL,'{\"method\":\"password\"}',NULL);
CREATE TABLE `wsgi_sessions_user` (
  `id` varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `email` varchar(254) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `email_verified` tinyint(1) NOT NULL,
  `name` varchar(255) NOT NULL,
  `image` text DEFAULT NULL,
  `created_at` bigint(20) NOT NULL,
  `updated_at` bigint(20) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `wsgi_sessions_user_email` (`email`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `wsgi_sessions_user` VALUES ('FMBRrqvpsAQKTye612tWc2fp','bob@example.org',0,'Bób 🦉',NULL,1795867200000,1795867200000);
INSERT INTO `wsgi_sessions_user` VALUES ('imS3aUpHQtBkJn1TIWfVfcbe','ada@example.org',0,'Ada',NULL,1795867200000,1795867200000);
