import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  // `npm run dev` serves the page on its own port; the API stays where serve.py runs.
  server: { proxy: { "/api": "http://127.0.0.1:8000" } },
});
