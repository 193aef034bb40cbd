/** @file The process of one worker of a training on several machines. */

import { ChannelExchange, type PartJob } from '@onnx-lora/cluster';
import { PART } from '../context.ts';
import { main } from '../program.ts';

/** Runs the command of the channel's first message; returns the exit code. */
export async function runPart(): Promise<number> {
  const job = await new Promise<PartJob>((resolve) =>
    process.once('message', (message) => resolve(message as PartJob)),
  );
  const exchange = new ChannelExchange(job);
  // The first worker writes; of the others, mistakes are told.
  const silent = { write: () => undefined };
  const streams = job.rank === 0 ? process : { stdout: silent, stderr: process.stderr };
  try {
    return await main(job.argv, streams, (provide) => provide(PART, () => exchange));
  } finally {
    if (process.connected) process.disconnect();
  }
}
