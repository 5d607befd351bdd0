"""Hashes of passwords as other libraries have made them.

Made once, by Better Auth 1.7.25 (``hashPassword`` of ``better-auth/crypto``, in Node), Werkzeug
3.1.9 (``generate_password_hash``), Django 5.2.19 (``encode`` of each hasher) and passlib 1.7.4
(``using(rounds=…).hash``), with as few rounds as each lets one ask for.
"""

PASSWORD = "correct horse"
HASHES = {
    "better auth": "9393ae3e2355953f9bb60b737faef5c3:43c3021dbd2bcd2ca0fb21805d12f61829c36ea449cfd99dc00ea134fa5050c9cffbe7148e4714703868195154ca34b50475f6d5236336105730bd9dd3ae6ed7",
    "werkzeug scrypt": "scrypt:32768:8:1$IjrmeglZgJTcrTGk$f90e38dc6da35ddd19c864e5f28d21a8816bfae8df76a6d89b234dc58fe4d72d24c45d59f0868ef8860aa4c7846c1617ec191263e56541b1d0be99067b05c82b",
    "werkzeug pbkdf2": "pbkdf2:sha256:1000$FyxPU1P2CLD0UI2v$0a6a14eda7b5badff5f2f4dec17e17f4b4d7fe6043070b1f8688b7f4f012a05e",
    "werkzeug pbkdf2 sha512": "pbkdf2:sha512:1000$poWlhg09YxujsV2V$738271d828ae8a3c708d91294a4465d00ed8c6b7d7378a4d9d0eb2f727b1d2e4dcde2ed6b4289c9bb0e7896c079693ffd8a914b672e05e3e79fc1bfe59c0edff",
    "django pbkdf2_sha256": "pbkdf2_sha256$1000$rvbYDio34DGpmP3yR9k1Fp$LQokUdrOGwfF7Gvh4kzCiCHPP7L63lpLtTOONGnaZdo=",
    "django pbkdf2_sha1": "pbkdf2_sha1$1000$kkbZBHegk2oYrQfMLEvTkg$S6FB/lTk6Ypn12KwCksYnp/Hh6s=",
    "django argon2": "argon2$argon2id$v=19$m=64,t=1,p=1$clZhMzV1M1VSa3cxT1VvTXBJeDI3cA$knxWBnH350+icNhwZ0SjkGUiigXAb0oib01KU71Lly4",
    "django bcrypt_sha256": "bcrypt_sha256$$2b$04$WGJNZH/HgJdDFirePV7hS.FuPwtoSWuySZHv1JvlAtZdVhM/C80K.",
    "django bcrypt": "bcrypt$$2b$04$TzMPvEc6W1c15zyH8kChceis1.fjX2i/ZgrQOpiUmZ6v8C3ftFeWG",
    "django scrypt": "scrypt$1024$wX14849fPVdbvAMZwlBSC4$8$5$+RyHFVS8hOY2Bm3WQU6/entFikI/W7rNvTRLUrjgUnvGN1HcFOO9gq+06Bvz6edcWjj71bRgDX0GJgAOLDTjXw==",
    "passlib pbkdf2-sha256": "$pbkdf2-sha256$1000$2XvvPce4V4oRAqB0TinlPA$3HxpHGO5jELzPq6c.bw6gVg3LwFYsT1tLpmmTH6tse0",
    "passlib pbkdf2-sha512": "$pbkdf2-sha512$1000$ixHiXMs557y3FqI0BgCgtA$T/6D/g.nZUQjVCTJVC/zAsYno/wSYs3lgkqJns6UOW4LDTGWH84QsojuP3sjXDSbe5yxm/vLASSHdO5RMDS8jg",
    "passlib pbkdf2 sha1": "$pbkdf2$1000$NKa09l4LIcT4PyfEGINQag$UT/gjdmR//50E1fDYEiYklzsUEE",
    "passlib scrypt": "$scrypt$ln=10,r=8,p=1$4rw3Zuy9916rtTYm5BwjpA$TJNpxYG8u0Dej7ALVLMmii3DDshKESGpnqYgmIy2jE4",
    "passlib bcrypt 2b": "$2b$04$PUjolopawM.9lNZ1pcLGEe7V/qhPhI8.pjLH5S7U8rzKvvQw3Bxty",
    "passlib bcrypt 2a": "$2a$04$.xdaLgKzLhrn7pWmGCdrdODfZtDn63vT0q.SM4hUI.1.53U0ESoHC",
    "passlib bcrypt 2y": "$2y$04$pKPy.NEme.ktC9wWK/Y84OurPMRwLhv33i/OEAHdd6X5R8sG6uaXu",
    "passlib bcrypt-sha256": "$bcrypt-sha256$v=2,t=2b,r=4$1LJyHX/ycYw8jnzEcxELd.$e7KmnO0h8NlnSATqf5WUqb04iLfjh4W",
    "passlib bcrypt-sha256 v1": "$bcrypt-sha256$2b,4$rKZDDMOOQqM8LfDtwE3nYO$wl2iaBue9Nag0Ant0dQc7wPh87DFGLS",
    "passlib argon2": "$argon2id$v=19$m=64,t=1,p=1$LUXImbN2jpESglCqVYoRog$sP2H43kZSNAtpfvURFfLSw8/sGok1TZGqwTsGekmOdE",
    "passlib argon2i": "$argon2i$v=19$m=64,t=1,p=1$2TtHqDWmlBICYKx17p3T+g$JP+UaA8IkKQUxuE3bg5Uaw5HIz9tJcdG74lcJ3jU2gQ",
    "passlib sha256-crypt": "$5$rounds=1000$jji2Mqz2UtHQtTEH$2NxKZNdXoKt2uyYAPus8O0Qx/pc3p4Hk/g9SpLI5q9B",
    "passlib sha512-crypt": "$6$mA1irt9d6JGMAwdR$whtouLCsv6.k6fILUuKmh9CXOSWU.0Aq7gXcA0YSFHrLzLv/S1I2WWjUs0SfP8BFdU/2UF1BWcvosurEA9hKd0",
}

ODD_PASSWORD = "cafe\u0301 \ufb01ne"
"""An accent that stands apart, and a ligature: NFKC changes both. Only Better Auth applies it."""
ODD_HASHES = {
    "better auth": "419d613bd78fa59c3120da3498b21c56:0f85258824e45468903d65ca3c7b6be79e9928a1d0d81d74731c170ee0828090d8468c5e5bdbab99d24d4db7be07aaab909e18e2bcfb107cd474968498453d5c",
    "werkzeug scrypt": "scrypt:32768:8:1$82JEvXQQd2yCPSqg$9910d836d75f95497ddd41ee2bb051e333b39677660f896cac42c92dc755425b1647a363fb87b516cf69831babde1017c2855ecc8fed1350d0b360a720df15e6",
    "werkzeug pbkdf2": "pbkdf2:sha256:1000$sNFOPnN37I0be1Qa$0ed7de97c4d568bf624f3186b1cc91b99f3456ca6b949a4654db7994a050690b",
    "werkzeug pbkdf2 sha512": "pbkdf2:sha512:1000$1vmViFmHDO3odwWb$0f62c951a89a5f03b0f6dadc5bb32df210af74e8ea0d7e5c525f9828b19a14c63cb883e37ba65b01c0e4d22e5c39d5e15bee5d6df5e03b624cbb5453190cfc81",
    "django pbkdf2_sha256": "pbkdf2_sha256$1000$sMfzGSlAKxwy2kAeUYm6sx$hHD9sM9wkcIOip6uahgXtNJu+2uG64lz4PeAvzEgxZU=",
    "django pbkdf2_sha1": "pbkdf2_sha1$1000$4cwHogrgAJm9z5SbDbzAdO$TRdxmgVDP8/liB4SgspB0FjQzmI=",
    "django argon2": "argon2$argon2id$v=19$m=64,t=1,p=1$a1hsUnJuZ2tld0ZwSUZBUFJRaktBQw$Ti5D8BipJ/JAmaIHlWCaMG48ufSRnjfwzBR6RuQ8Y3I",
    "django bcrypt_sha256": "bcrypt_sha256$$2b$04$rJvcrHvQZdy7lFEbP.pZl.JLAnRBDV1AkU2zi2kguoQl.XpywM3QK",
    "django bcrypt": "bcrypt$$2b$04$mu5HIx/EmKCVgCqGAB94ZetUlcB.j9GQUyJxO3te5pD/wQSBSJbiS",
    "django scrypt": "scrypt$1024$sHQS6sBDWGgO2bomnd0naL$8$5$xOUM13+FZuBuNCsIRTwQKFoBpmr70VwyWz6gEWzjLqOcOnnUd3r+AylgUsto4fcok20tTXmkAixGBI4L5H6KmQ==",
    "passlib pbkdf2-sha256": "$pbkdf2-sha256$1000$1Lr3fg/BGKOUUoqR8n6PEQ$CFMCrHqIElA3eh50AxMMa6J/SPor08y3IUuyBjgUqpI",
    "passlib pbkdf2-sha512": "$pbkdf2-sha512$1000$EKKU0jrnXIuRMkbIeW8NIQ$HvlRPrZ75cWagj1NH36gdHmgHdLsKf2ZTzCzAYyvO7Dc6ewhX2knbfxsoWWXAnAj4Tm5Nsab1bgf4RSsJW8fEw",
    "passlib pbkdf2 sha1": "$pbkdf2$1000$cW4NYYxxzvm/F4LQei.FsA$tNxsAnp.EgUkFAwHcAuG0ho6hc0",
    "passlib scrypt": "$scrypt$ln=10,r=8,p=1$VIpRipHSGqO0Vsq5lxLC2A$KgDXOiyWhWYCj8TzxRrMYNfgWn/c/fik2xvHN4Spohs",
    "passlib bcrypt 2b": "$2b$04$zZIQfllUG5IFZwyjGDOLb.NRM5xr5ZwZSgR2iO52ZZ8fKthrcRe4G",
    "passlib bcrypt 2a": "$2a$04$hh8NtUkVZXTYP.n9FGRxOuQY4Eg.k6F8A6JdeewNtjOotJ2uaOyRa",
    "passlib bcrypt 2y": "$2y$04$TXQurOl1gBc37oOsbvEX/eHlWDxfS4qK3RajEiS5KL77BNe8gVBwO",
    "passlib bcrypt-sha256": "$bcrypt-sha256$v=2,t=2b,r=4$woGr9wVokdcgjqlqnGn3re$PK2sgos0UgIWUvBLeruAAkWZIiXNQVO",
    "passlib bcrypt-sha256 v1": "$bcrypt-sha256$2b,4$UsAmimvJ3dkCOwtenHLAgu$F03Jo8XG/fARXuTfbwG/9F4ykaCnK0S",
    "passlib argon2": "$argon2id$v=19$m=64,t=1,p=1$3HtvzXkvZWyNEcIYI+Rcaw$NfvEpsjjUsd5UMV6fdVYxRmMgv5gQF8WK7et2Ap1Mu4",
    "passlib argon2i": "$argon2i$v=19$m=64,t=1,p=1$4XzPmdMag7DW2ntvLSVkTA$9e4aFhDNd3cniE6Ka2cpIBEvY+SiEc5Os6wrcHk2fhc",
    "passlib sha256-crypt": "$5$rounds=1000$5J9/SwsRwfLtV6po$tiRi4BknMfK76ZTtCc1o2H58EDZBpm60FM4OWvSrEM3",
    "passlib sha512-crypt": "$6$DckzuWLFse.lMFQE$gm22zF/.4X5YU0Z45WFS.hIC59voUOtGleXl6KdiRdHgKYV9fl2xZ3RCAVWWAdZRaQF55QvTuK2aiBragF9To1",
}

LONG_PASSWORD = "x" * 72 + "y"
LONG_BCRYPT = "$2b$04$.Nee9ltTV/b25sfuUZMPOexLvXFY20ihgKpyMPyEglgAo7BhWHhLm"
"""passlib's, of what is longer than bcrypt looks at."""
