/** @file Follows a run: here into a file; a service that draws curves is told in the same way. */

import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import path from 'node:path';
import type { TrackerFactory } from '@onnx-lora/sdk/plugin';

/** `--track jsonl`: every event as a line of `events.jsonl` in the folder of the run. */
export const jsonLines: TrackerFactory = {
  name: 'jsonl',
  description: 'Every event as a line of events.jsonl.',
  create: ({ folder, settings, firstStep }) => {
    // A run that continues adds to what is there.
    const file = createWriteStream(path.join(folder, 'events.jsonl'), { flags: firstStep > 0 ? 'a' : 'w' });
    file.write(`${JSON.stringify({ type: 'begin', firstStep, settings })}\n`);
    return {
      add: (event) => void file.write(`${JSON.stringify(event)}\n`),
      close: async () => {
        file.end();
        await once(file, 'finish');
      },
    };
  },
};
