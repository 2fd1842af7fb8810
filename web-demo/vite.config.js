import { defineConfig } from "vite";

// For `npm run dev`: the page comes from Vite, everything else from a server started with --faults on this address.
const server = process.env.READYWIRE_ADDRESS ?? "127.0.0.1:8080";

export default defineConfig({
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  server: {
    proxy: {
      "/ws": { target: `ws://${server}`, ws: true, changeOrigin: true },
      "/plain": { target: `ws://${server}`, ws: true, changeOrigin: true },
      "/faults": { target: `http://${server}`, changeOrigin: true },
    },
  },
});
