/** @file `npm run wild -- [ID]…`: runs checks on real models of packages. */

import { fileURLToPath } from 'node:url';
import { wildCommand } from './command.ts';

process.exitCode = await wildCommand(process.argv.slice(2), fileURLToPath(import.meta.url), (line) =>
  console.log(line),
);
