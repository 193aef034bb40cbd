/** @file `onnx-lora serve`: serves a model and its adapters over HTTP and gRPC until stopped. */

import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { withoutUndefined } from '@onnx-lora/sdk/data';
import { isAddress, serve, type ServeSettings, serveSettings } from '@onnx-lora/serve';
import { binding, type Plugin } from '@onnx-lora/sdk/plugin';
import type { ImageDecoder } from '@onnx-lora/vision';
import { type Command, Option } from 'commander';
import type { Context } from '../context.ts';
import { commandOf, type Flags, modelArgument } from '../options.ts';
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
      'Serves a model over HTTP until stopped: /predict takes files and answers as predict does, /v2 is the Open Inference Protocol of KServe and Triton (also gRPC, with --grpc-port), /openapi.json describes all routes. Each subfolder of --adapters is an adapter, which requests choose by name; new ones are available at once (remote ones within 10 s). Ctrl-C and SIGTERM finish pending requests first; SIGHUP reloads the keys and certificate of --config.',
    words: modelArgument,
    flags: [
      'model',
      'fix',
      ['task', "task of /predict (default: the adapter's, or the usual one of the family)"],
      new Option(
        '--adapters <place>',
        'folder with a folder per adapter, such as runs, or s3://BUCKET/PREFIX, or hf://ORG/NAME; read-only',
      ),
      new Option('--store <folder>', 'folder for adapters that clients upload; --config sets their keys'),
      new Option('--port <number>', 'port to listen on; 0 for a free one (default: 8080)'),
      new Option('--host <address>', 'address to listen on; 0.0.0.0 for all (default: 127.0.0.1)'),
      new Option('--grpc-port <number>', 'port for gRPC; 0 for a free one (default: no gRPC)'),
      new Option('--max-memory <size>', 'memory limit of the process: 2GiB, 500MB (default: no limit)'),
      new Option('--config <file>', 'YAML file of settings, including keys and limits; flags override it'),
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
      if (flags.json) context.terminal.printJson({ url, ...withoutUndefined({ grpcUrl }), model: name });
      else
        new Progress(context.terminal, flags).note(
          `${name} answers at ${url}${grpc}; a browser shows a page there to try it. Ctrl-C stops it.`,
        );
      // SIGHUP reloads keys and certificate. An invalid file is reported and changes nothing.
      onHangUp = (): void => {
        readFileSettings(config)
          .then(({ keys, tls }) => server.reload(withoutUndefined({ keys, tls })))
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
  const { IMAGE_DECODER, ImageFileDecoder } = await import('@onnx-lora/vision');
  const decoder = (): ImageDecoder => new ImageFileDecoder({ maxPixels: MAX_PIXELS });
  return { ...plugin, bindings: [binding(IMAGE_DECODER, decoder, { isDefault: true })] };
}

async function readFileSettings(config: string | undefined): Promise<ServeSettings> {
  return config === undefined ? {} : serveSettings(await readYaml(config), `"${config}"`);
}

/** The file's settings, overridden by flags. */
async function serveOptions(config: string | undefined, flags: ServeFlags, settings: Settings): Promise<ServeSettings> {
  const { adapters, store, host, allowBaseMismatch } = flags;
  const { task } = settings;
  const given = withoutUndefined({
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
