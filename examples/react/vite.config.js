import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// Puts a packed copy beside each asset: WhiteNoise hands out the one that a browser takes.
const packed = {
  name: "packed-copies",
  apply: "build",
  writeBundle({ dir }) {
    const assets = join(dir, "assets");
    for (const name of readdirSync(assets).filter((name) => /\.(css|js|svg)$/.test(name))) {
      const content = readFileSync(join(assets, name));
      writeFileSync(join(assets, `${name}.gz`), gzipSync(content, { level: 9 }));
      writeFileSync(join(assets, `${name}.br`), brotliCompressSync(content));
    }
  },
};

export default defineConfig({
  plugins: [react(), packed],
  // `npm run dev` serves the page on its own port; the API stays where serve.py runs.
  server: { proxy: { "/api": "http://127.0.0.1:8000" } },
});
