/** @file `npm run fuzz`: damaged files against every parser of foreign bytes. */

import { fileURLToPath } from 'node:url';
import { fuzzCommand } from './command.ts';

const programs = {
  // This file runs from a folder three levels below the repository's.
  root: fileURLToPath(new URL('../../..', import.meta.url)),
  worker: new URL('worker.js', import.meta.url),
};
process.exitCode = await fuzzCommand(process.argv.slice(2), programs, (line) => console.log(line));
