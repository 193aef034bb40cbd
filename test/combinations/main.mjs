/** @file `npm run combinations`: runs the command on the TypeScript sources, without a build. */

import { createServer } from 'vite';

const server = await createServer({
  configFile: 'vitest.config.ts',
  appType: 'custom',
  logLevel: 'error',
  // Without the newest syntax, such as `await using`.
  oxc: { target: 'es2022' },
  server: { middlewareMode: true, hmr: false, ws: false },
  optimizeDeps: { noDiscovery: true },
});
const { combinationsCommand } = await server.ssrLoadModule('/test/combinations/command.ts');
process.exitCode = await combinationsCommand(process.argv.slice(2), (line) => console.log(line));
await server.close();
