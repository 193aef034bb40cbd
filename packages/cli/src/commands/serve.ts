/** @file `onnx-lora serve`: a model and its adapters behind HTTP, until it is told to stop. */

import { existsSync } from 'node:fs';
import { serve } from '@onnx-lora/serve';
import { type Command, Option } from 'commander';
import type { Context } from '../context.ts';
import { commandOf, type Flags, modelWord } from '../options.ts';
import { checkNames } from '../settings/choices.ts';
import { readSettings } from '../settings/readSettings.ts';
import { machineOptions } from '../settings/training.ts';
import { oneModel, openNamed } from '../sources.ts';
import { usageError } from '../terminal/errors.ts';
import { Interrupt } from '../terminal/interrupt.ts';
import { Progress } from '../terminal/progress.ts';

interface ServeFlags extends Flags {
  readonly adapters?: string;
  readonly port: string;
  readonly host: string;
}

/** Makes the command. */
export function serveCommand(context: Context): Command {
  return commandOf({
    name: 'serve',
    summary: 'answer over HTTP, with any number of adapters',
    description:
      'Answers over HTTP until it is stopped: /predict takes files and says what predict says, /v2 is the Open Inference Protocol of KServe and Triton, /openapi.json describes both. Each folder in the one of --adapters is an adapter by its name; new ones are there at once, and a request chooses one or none. Ctrl-C and SIGTERM let requests end that have come.',
    words: modelWord,
    flags: [
      'model',
      'fix',
      ['task', 'whose answers /predict gives (default: that of the adapter, or the usual one of the family)'],
      new Option('--adapters <folder>', 'folder with a folder for each adapter, such as runs'),
      new Option('--port <number>', 'where it listens; 0 takes a free port').default('8080'),
      new Option('--host <address>', 'address of this machine it listens on; 0.0.0.0 for all').default('127.0.0.1'),
      'provider',
      'precision',
      'threads',
      'mismatch',
      'output',
    ],
    examples: [
      'onnx-lora serve models/vit --adapters runs',
      "curl --data-binary @cat.jpg 'http://127.0.0.1:8080/predict?adapter=photos'",
    ],
  }).action(async (word: string | undefined, flags: ServeFlags) => {
    const settings = await readSettings(flags, undefined);
    checkNames(settings, context.registry());
    const { adapters, host, allowBaseMismatch = false, json = false } = flags;
    const port = /^\d{1,5}$/.test(flags.port) ? Number(flags.port) : NaN;
    if (!(port < 65_536)) throw usageError(`--port is "${flags.port}". Give a number from 0 to 65535.`);
    if (adapters !== undefined && !existsSync(adapters))
      throw usageError(`--adapters "${adapters}" is not there. Name a folder with a folder for each adapter.`);
    const model = await openNamed(oneModel(word, flags['model'], settings), context.registry(), settings);
    const stop = new AbortController();
    const interrupt = new Interrupt(() => stop.abort());
    try {
      await using server = await serve(model, {
        ...(adapters === undefined ? {} : { adapters }),
        ...(settings.task === undefined ? {} : { task: settings.task }),
        host,
        port,
        allowBaseMismatch,
        ...machineOptions(settings),
      });
      if (json) context.terminal.printJson({ url: server.url, model: server.model });
      else new Progress(context.terminal, flags).note(`${server.model} answers at ${server.url}; Ctrl-C stops it`);
      if (!stop.signal.aborted) await new Promise<void>((resolve) => stop.signal.addEventListener('abort', () => resolve(), { once: true })); // prettier-ignore
    } finally {
      interrupt.release();
    }
  });
}
