/** @file Runs the command in this process. */

import { main } from './program.ts';

process.exitCode = await main(process.argv.slice(2), {
  input: process.stdin,
  output: process.stdout,
  errors: process.stderr,
  isTerminal: process.stdin.isTTY === true && process.stdout.isTTY === true,
});
