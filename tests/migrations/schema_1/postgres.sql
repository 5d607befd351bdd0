-- cookie: v1.GRL2fAvnVWdfiSQkY-6Sk6tAu4m0Mrh0.0.CzjvFYOd.GV_hro9leYZeoJEfxavFoO-AYyx8sHDp
CREATE TABLE public.wsgi_sessions_account (
    id character varying(64) NOT NULL,
    user_id character varying(64) NOT NULL,
    provider_id character varying(64) NOT NULL,
    account_id character varying(255) NOT NULL,
    password_hash character varying(512),
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);
CREATE TABLE public.wsgi_sessions_attempt (
    id character varying(32) NOT NULL,
    key character varying(64) NOT NULL,
    created_at bigint NOT NULL
);
CREATE TABLE public.wsgi_sessions_meta (
    name character varying(64) NOT NULL,
    value character varying(512) NOT NULL
);
CREATE TABLE public.wsgi_sessions_one_time_token (
    digest character varying(64) NOT NULL,
    purpose character varying(32) NOT NULL,
    user_id character varying(64),
    value character varying(512),
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    used_at bigint
);
CREATE TABLE public.wsgi_sessions_revocation (
    id bigint NOT NULL,
    session_id character varying(32),
    before bigint,
    created_at bigint NOT NULL
);
CREATE SEQUENCE public.wsgi_sessions_revocation_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.wsgi_sessions_revocation_id_seq OWNED BY public.wsgi_sessions_revocation.id;
CREATE TABLE public.wsgi_sessions_session (
    id character varying(32) NOT NULL,
    user_id character varying(64),
    generation integer NOT NULL,
    branch character varying(8) NOT NULL,
    branch_before character varying(8),
    is_settled boolean NOT NULL,
    caught_up boolean NOT NULL,
    confirmed_at bigint NOT NULL,
    created_at bigint NOT NULL,
    authenticated_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    last_seen_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    remember boolean NOT NULL,
    ip_address character varying(45),
    user_agent character varying(512),
    data text NOT NULL,
    data_version integer NOT NULL,
    ended_at bigint,
    end_reason character varying(32),
    last_ip_address character varying(45),
    last_user_agent character varying(512),
    authentication character varying(1024) NOT NULL,
    provider_sid character varying(64)
);
CREATE TABLE public.wsgi_sessions_user (
    id character varying(64) NOT NULL,
    email character varying(254) NOT NULL,
    email_verified boolean NOT NULL,
    name character varying(255) NOT NULL,
    image text,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);
ALTER TABLE ONLY public.wsgi_sessions_revocation ALTER COLUMN id SET DEFAULT nextval('public.wsgi_sessions_revocation_id_seq'::regclass);
INSERT INTO public.wsgi_sessions_account VALUES ('wG2ElK3bUE-iV9lUd3mWkZGw', 'AXXqxt-NwlYb_VOAeyO9vOlx', 'credential', 'AXXqxt-NwlYb_VOAeyO9vOlx', '$argon2id$v=19$m=65536,t=3,p=4$lgyZ4CHJm8eWPecGTWOFcQ$0YGPUHziZ83eOMA6oxeU5JgzbRqIgV2Fw9Nqelmw3hU', 1795867200000, 1795867200000);
INSERT INTO public.wsgi_sessions_account VALUES ('iyfyE-P7D1xi30GFIMS2089v', '0G8eW_PggWOZs7hgPp9JtjPD', 'credential', '0G8eW_PggWOZs7hgPp9JtjPD', '$argon2id$v=19$m=65536,t=3,p=4$oQ7kq7+WPg0jyE4aCe1Tuw$z5hqmjXgC2ylHZYSv3N3GLHDyJrXp5Fkb1HrOKwcor8', 1795867200000, 1795867200000);
INSERT INTO public.wsgi_sessions_attempt VALUES ('e1PR32PHhu0PzyKDml3Wepos0', '9254a0b99f57f0c554c586ab499d56baf7dafd7dff0ba1ce07d3bbc98406543a', 1795867500000);
INSERT INTO public.wsgi_sessions_attempt VALUES ('LCskrY7r9ww0ug3Jjp6AHZLw0', '033234446e9625a5a59ef6529ae18c23736a5889b19825890d50981eb5857b87', 1795867500000);
INSERT INTO public.wsgi_sessions_attempt VALUES ('LCskrY7r9ww0ug3Jjp6AHZLw1', 'eb81b8d92a40786ff67e18e6dbb22672708d10c72038f3d8a04446c02eb8b47b', 1795867500000);
INSERT INTO public.wsgi_sessions_meta VALUES ('user_model', 'wsgi_sessions_user.id (text)');
INSERT INTO public.wsgi_sessions_one_time_token VALUES ('105e1fafa901a2e7b4280b4e35fe6ae6ea7fbdc96740ad7fe5f4a92e19b398f5', 'reset-password', '0G8eW_PggWOZs7hgPp9JtjPD', 'bob@example.org', 1795867500000, 1795871100000, NULL);
INSERT INTO public.wsgi_sessions_revocation VALUES (1, 'DNzPau1_itDOE-XpOULPS9s3', NULL, 1795867500000);
INSERT INTO public.wsgi_sessions_revocation VALUES (2, 'gpMTnUmR50GN-eKpJVXc5ilr', NULL, 1795867500000);
INSERT INTO public.wsgi_sessions_session VALUES ('BkvKizCf_5xZh_Sl4YQgXE8P', 'AXXqxt-NwlYb_VOAeyO9vOlx', 0, 'CzjvFYOd', NULL, true, false, 1795867500000, 1795867500000, 1795867500000, 1795867500000, 1795867500000, 1796472300000, true, NULL, NULL, '{"cart":["apple","\u00c4pfel"]}', 1, NULL, NULL, NULL, NULL, '{"method":"password"}', NULL);
INSERT INTO public.wsgi_sessions_session VALUES ('DNzPau1_itDOE-XpOULPS9s3', 'AXXqxt-NwlYb_VOAeyO9vOlx', 0, 'a5EP37ju', NULL, true, false, 1795867200000, 1795867200000, 1795867200000, 1795867200000, 1795867200000, 1796472000000, true, NULL, NULL, '{}', 0, 1795867500000, 'signed_out', NULL, NULL, '{"method":"password"}', NULL);
INSERT INTO public.wsgi_sessions_session VALUES ('gpMTnUmR50GN-eKpJVXc5ilr', '0G8eW_PggWOZs7hgPp9JtjPD', 0, 'G-B6qGGs', NULL, true, false, 1795867200000, 1795867200000, 1795867200000, 1795867200000, 1795867200000, 1796472000000, true, NULL, NULL, '{}', 0, 1795867500000, 'revoked', NULL, NULL, '{"method":"password"}', NULL);
INSERT INTO public.wsgi_sessions_session VALUES ('yRxEeZoNSVLIY2NGLAawM3SW', '0G8eW_PggWOZs7hgPp9JtjPD', 0, 'Kl-4A4ZY', NULL, true, false, 1795867500000, 1795867500000, 1795867500000, 1795867500000, 1795867500000, 1795953900000, false, NULL, NULL, '{}', 0, NULL, NULL, NULL, NULL, '', NULL);
INSERT INTO public.wsgi_sessions_user VALUES ('AXXqxt-NwlYb_VOAeyO9vOlx', 'ada@example.org', false, 'Ada', NULL, 1795867200000, 1795867200000);
INSERT INTO public.wsgi_sessions_user VALUES ('0G8eW_PggWOZs7hgPp9JtjPD', 'bob@example.org', false, 'Bób 🦉', NULL, 1795867200000, 1795867200000);
SELECT pg_catalog.setval('public.wsgi_sessions_revocation_id_seq', 2, true);
ALTER TABLE ONLY public.wsgi_sessions_account
    ADD CONSTRAINT wsgi_sessions_account_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.wsgi_sessions_attempt
    ADD CONSTRAINT wsgi_sessions_attempt_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.wsgi_sessions_meta
    ADD CONSTRAINT wsgi_sessions_meta_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.wsgi_sessions_one_time_token
    ADD CONSTRAINT wsgi_sessions_one_time_token_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY public.wsgi_sessions_revocation
    ADD CONSTRAINT wsgi_sessions_revocation_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.wsgi_sessions_session
    ADD CONSTRAINT wsgi_sessions_session_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.wsgi_sessions_user
    ADD CONSTRAINT wsgi_sessions_user_pkey PRIMARY KEY (id);
CREATE UNIQUE INDEX wsgi_sessions_account_provider_id_account_id ON public.wsgi_sessions_account USING btree (provider_id, account_id);
CREATE INDEX wsgi_sessions_account_user_id ON public.wsgi_sessions_account USING btree (user_id);
CREATE INDEX wsgi_sessions_attempt_created_at ON public.wsgi_sessions_attempt USING btree (created_at);
CREATE INDEX wsgi_sessions_attempt_key_created_at ON public.wsgi_sessions_attempt USING btree (key, created_at);
CREATE INDEX wsgi_sessions_one_time_token_expires_at ON public.wsgi_sessions_one_time_token USING btree (expires_at);
CREATE INDEX wsgi_sessions_one_time_token_user_id_purpose ON public.wsgi_sessions_one_time_token USING btree (user_id, purpose);
CREATE INDEX wsgi_sessions_revocation_created_at ON public.wsgi_sessions_revocation USING btree (created_at);
CREATE INDEX wsgi_sessions_session_ended_at ON public.wsgi_sessions_session USING btree (ended_at);
CREATE INDEX wsgi_sessions_session_expires_at ON public.wsgi_sessions_session USING btree (expires_at);
CREATE INDEX wsgi_sessions_session_provider_sid ON public.wsgi_sessions_session USING btree (provider_sid);
CREATE INDEX wsgi_sessions_session_user_id_ended_at ON public.wsgi_sessions_session USING btree (user_id, ended_at);
CREATE UNIQUE INDEX wsgi_sessions_user_email ON public.wsgi_sessions_user USING btree (email);
