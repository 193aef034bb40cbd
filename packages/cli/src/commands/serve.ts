/** @file `onnx-lora serve`: serves a model and its adapters over HTTP and gRPC until stopped. */

import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { defined } from '@onnx-lora/sdk/data';
import { isAddress, serve, type ServeSettings, serveSettings } from '@onnx-lora/serve';
import { binding, type Plugin } from '@onnx-lora/sdk/plugin';
import type { ImageDecoder } from '@onnx-lora/vision';
import { type Command, Option } from 'commander';
import type { Context } from '../context.ts';
import { commandOf, type Flags, modelWord } from '../options.ts';
import { checkNames } from '../settings/choices.ts';
import { readSettings, readYaml } from '../settings/readSettings.ts';
import type { Settings } from '../settings/setting.ts';
import { machineOptions } from '../settings/training.ts';
import { oneModel, openNamed } from '../sources.ts';
import { reportFailure, usageError } from '../terminal/errors.ts';
import { Interrupt } from '../terminal/interrupt.ts';
import { Progress } from '../terminal/progress.ts';

interface ServeFlags extends Flags {
  readonly adapters?: string;
  readonly store?: string;
  readonly port?: string;
  readonly host?: string;
  readonly grpcPort?: string;
  readonly maxMemory?: string;
}

/** Makes the command. */
export function serveCommand(context: Context): Command {
  return commandOf({
    name: 'serve',
    description:
      'Answers over HTTP until it is stopped: /predict takes files and says what predict says, /v2 is the Open Inference Protocol of KServe and Triton (by gRPC with --grpc-port), /openapi.json describes all of it. Each folder in the one of --adapters is an adapter by its name; new ones are there at once (those far away within 10 s), and a request chooses one or none. Ctrl-C and SIGTERM let requests end that have come; SIGHUP reads keys and certificate of --config anew.',
    words: modelWord,
    flags: [
      'model',
      'fix',
      ['task', 'whose answers /predict gives (default: that of the adapter, or the usual one of the family)'],
      new Option(
        '--adapters <place>',
        'folder with a folder for each adapter, such as runs, or s3://BUCKET/PREFIX, or hf://ORG/NAME; it is only read',
      ),
      new Option('--store <folder>', 'folder for adapters that clients bring; who may, --config says'),
      new Option('--port <number>', 'where it listens; 0 takes a free port (default: 8080)'),
      new Option('--host <address>', 'which address of this machine; 0.0.0.0 for all (default: 127.0.0.1)'),
      new Option('--grpc-port <number>', 'where it answers to gRPC besides; 0 takes a free port (default: nowhere)'),
      new Option('--max-memory <size>', 'memory that the process stays below: 2GiB, 500MB (default: no limit)'),
      new Option('--config <file>', 'YAML file of settings, keys and limits among them; flags go before it'),
      'provider',
      'precision',
      'threads',
      'mismatch',
      'output',
    ],
    examples: [
      "onnx-lora serve models/vit --adapters runs   # curl --data-binary @cat.jpg '127.0.0.1:8080/predict?adapter=photos'",
      'onnx-lora serve models/vit --adapters s3://models/vit-adapters',
      'onnx-lora serve models/vit --store adapters --config server.yaml --host 0.0.0.0',
    ],
  }).action(async (word: string | undefined, { config, ...flags }: ServeFlags) => {
    const settings = await readSettings(flags, undefined);
    checkNames(settings, context.registry);
    const options = await serveOptions(config, flags, settings);
    if (options.adapters !== undefined && !isAddress(options.adapters) && !existsSync(options.adapters))
      throw usageError(`--adapters "${options.adapters}" is not there. Name a folder with a folder for each adapter.`);
    const model = await openNamed(oneModel(word, flags['model'], settings), context, settings);
    const stop = new AbortController();
    const interrupt = new Interrupt(() => stop.abort());
    let onHangUp = (): void => undefined;
    try {
      await using server = await serve(model, options);
      const { url, grpcUrl, model: name } = server;
      const grpc = grpcUrl === undefined ? '' : ` and by gRPC at ${grpcUrl}`;
      if (flags.json) context.terminal.printJson({ url, ...defined({ grpcUrl }), model: name });
      else
        new Progress(context.terminal, flags).note(
          `${name} answers at ${url}${grpc}; a browser shows a page there to try it. Ctrl-C stops it.`,
        );
      // SIGHUP reloads keys and certificate. An invalid file is reported and changes nothing.
      onHangUp = (): void => {
        readFileSettings(config)
          .then(({ keys, tls }) => server.reload(defined({ keys, tls })))
          .catch((error: unknown) =>
            reportFailure(error, context.terminal, { debug: false, quiet: true, json: false }),
          );
      };
      process.on('SIGHUP', onHangUp);
      if (!stop.signal.aborted) await once(stop.signal, 'abort');
    } finally {
      process.off('SIGHUP', onHangUp);
      interrupt.release();
    }
  });
}

/** Pixel limit for untrusted images: a kilobyte may claim gigabytes. */
const MAX_PIXELS = 25_000_000;

/** Limits the image size of the vision plugin. */
export async function bounded(plugin: Plugin): Promise<Plugin> {
  if (plugin.name !== '@onnx-lora/vision') return plugin;
  const { IMAGE_DECODER, SharpDecoder } = await import('@onnx-lora/vision');
  const decoder = (): ImageDecoder => new SharpDecoder({ maxPixels: MAX_PIXELS });
  return { ...plugin, bindings: [binding(IMAGE_DECODER, decoder, { isDefault: true })] };
}

async function readFileSettings(config: string | undefined): Promise<ServeSettings> {
  return config === undefined ? {} : serveSettings(await readYaml(config), `"${config}"`);
}

/** The file's settings, overridden by flags. */
async function serveOptions(config: string | undefined, flags: ServeFlags, settings: Settings): Promise<ServeSettings> {
  const { adapters, store, host, allowBaseMismatch } = flags;
  const { task } = settings;
  const given = defined({
    adapters,
    host,
    task,
    allowBaseMismatch,
    port: portOf('--port', flags.port),
    maxMemoryBytes: bytesOf('--max-memory', flags.maxMemory),
  });
  const grpcPort = portOf('--grpc-port', flags.grpcPort);
  const file = await readFileSettings(config);
  return serveSettings(
    {
      ...file,
      ...given,
      ...machineOptions(settings),
      ...(grpcPort !== undefined && { grpc: { ...file.grpc, port: grpcPort } }),
      ...(store !== undefined && { store: { ...file.store, folder: store } }),
    },
    'the command',
  );
}

function portOf(flag: string, text: string | undefined): number | undefined {
  if (text === undefined || /^\d{1,5}$/.test(text)) return text === undefined ? undefined : Number(text);
  throw usageError(`${flag} is "${text}". Give a number from 0 to 65535.`);
}

const units: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  m: 1e6,
  g: 1e9,
  ki: 2 ** 10,
  mi: 2 ** 20,
  gi: 2 ** 30,
};

function bytesOf(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const [, number, unit] = /^(\d+(?:\.\d+)?) ?([kmg]i?|)b?$/i.exec(text) ?? [];
  const bytes = Math.floor(Number(number) * (units[unit?.toLowerCase() ?? ''] ?? NaN));
  if (bytes >= 1) return bytes;
  throw usageError(`${flag} is "${text}". Give a size such as 2GiB, 500MB, or bytes.`);
}
