#!/usr/bin/env node
/** @file Runs the command in this process. */

import { main } from './program.ts';

// A reader that closes early (`| head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});
// On a cluster, a task's program, which its parent talks to by a channel.
const part = process.connected ? process.env['ONNX_LORA_WORKER'] : undefined;
if (part === 'trial') await import('./sweep/trialProgram.ts');
else if (part === 'part') process.exitCode = await (await import('./cluster/partProgram.ts')).runPart();
else process.exitCode = await main(process.argv.slice(2));
