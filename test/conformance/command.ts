/** @file The command `conformance FOLDER… [--check NAME] [--precision NAME] [--provider NAME] [--plugin NAME] [--peft PYTHON] [--json]`. */

import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { buildPlugin } from '@onnx-lora/build';
import { methodsPlugin, tuners } from '@onnx-lora/methods';
import { openvinoPlugin } from '@onnx-lora/openvino';
import { loadPlugins, OnnxLoraError, OrtRuntime, type PrecisionName, type Runtime } from '@onnx-lora/sdk';
import type { Plugin } from '@onnx-lora/sdk/plugin';
import { speechPlugin } from '@onnx-lora/speech';
import { visionPlugin } from '@onnx-lora/vision';
import { detectionLosses } from './detectionLosses.ts';
import { type Exchanged, exchange } from './exchange.ts';
import { precisionNames } from '@onnx-lora/sdk/core';
import { type CheckName, checkNames, type CheckReport, conformance } from '@onnx-lora/testing';

const usage = `Usage: npm run conformance -- FOLDER… [--check NAME]… [--precision NAME] [--provider NAME] [--plugin NAME]… [--peft PYTHON] [--json]

Holds cases against the SDK: each folder holds a model, an adapter and PEFT's numbers (a case.json), or is a folder of
such. Prints one line per case and check; exits with 1 if any fails.

  --check NAME  only this check; may be repeated: ${checkNames.join(', ')}; build of checkpoints
  --precision NAME  gradients alone, with frozen products in this precision: ${precisionNames.join(', ')}
  --provider NAME  where graphs run, such as openvino; cpu by default
  --plugin NAME  one that brings tuners, families or operators; @onnx-lora/methods is there without
  --peft PYTHON  instead of checks: an adapter of each case's kind is made here, and PEFT loads and merges it
  --json        one JSON document instead of lines`;

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

/**
 * The command, from its arguments to its exit code: 0 when nothing fails, 1 when something does, 2 for arguments that it
 * cannot use.
 */
export async function conformanceCommand(args: readonly string[], print: (line: string) => void): Promise<number> {
  try {
    return await run(args, print);
  } catch (error) {
    const isUsers = error instanceof OnnxLoraError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS');
    if (!isUsers) throw error;
    print((error as Error).message);
    return EXIT_USAGE;
  }
}

async function run(args: readonly string[], print: (line: string) => void): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      check: { type: 'string', multiple: true },
      json: { type: 'boolean' },
      precision: { type: 'string' },
      provider: { type: 'string' },
      plugin: { type: 'string', multiple: true },
      peft: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help || positionals.length === 0) {
    print(usage);
    return values.help ? 0 : EXIT_USAGE;
  }
  const named = await Promise.all((values.plugin ?? []).map((name) => importPlugin(name)));
  const plugins = [...new Set([...named, methodsPlugin, visionPlugin, speechPlugin, buildPlugin, openvinoPlugin])];
  if (values.peft !== undefined) return exchangeAll(positionals, values.peft, plugins, print);
  const report = await conformance(positionals, {
    plugins,
    losses: detectionLosses,
    checks: (values.check ?? []) as CheckName[],
    ...(values.provider === undefined ? {} : { runtime: runtimeOn(values.provider, plugins) }),
    ...(values.precision === undefined ? {} : { precision: values.precision as PrecisionName }),
    onCheck: (found) => {
      if (!values.json) print(line(found));
    },
  });
  const { passed, failed, skipped } = report;
  if (values.json) print(JSON.stringify(report, undefined, 2));
  else print(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} not applicable` : ''}`);
  return failed > 0 ? EXIT_FAILED : 0;
}

/** A runtime whose sessions are all on this provider. */
function runtimeOn(provider: string, plugins: readonly Plugin[]): Runtime {
  const own =
    loadPlugins(plugins)
      .providers.find(({ name }) => name === provider)
      ?.create() ?? new OrtRuntime();
  return { createSession: (source, options) => own.createSession(source, { ...options, provider }) };
}

/** The plugin that a package exports. @throws OnnxLoraError `CONFIG_INVALID` for a package without a plugin */
async function importPlugin(name: string): Promise<Plugin> {
  const from = name.startsWith('.') || path.isAbsolute(name) ? pathToFileURL(path.resolve(name)).href : name;
  const exported = Object.values((await import(from)) as Record<string, unknown>);
  const plugin = exported.find(
    (each) => typeof each === 'object' && each !== null && 'contract' in each && 'parts' in each,
  );
  if (plugin) return plugin as Plugin;
  throw new OnnxLoraError('CONFIG_INVALID', `"${name}" exports no plugin. Export what definePlugin gives.`);
}

/** Has PEFT load our adapters, case by case. */
async function exchangeAll(
  folders: readonly string[],
  python: string,
  plugins: readonly Plugin[],
  print: (line: string) => void,
): Promise<number> {
  // prettier-ignore
  let failures = 0;
  for (const folder of folders) {
    const { status, detail } = await exchange(folder, python, plugins, tuners).catch((error: unknown): Exchanged => ({ status: 'failed', detail: (error as Error).message.trim().split('\n').at(-1)! })); // prettier-ignore
    if (status === 'failed') failures++;
    print(`${path.basename(folder)} exchange ${status}  ${detail}`);
  }
  print(`${failures} of ${folders.length} failed`);
  return failures > 0 ? EXIT_FAILED : 0;
}

function line({ case: name, check, status, detail }: CheckReport): string {
  return `${name} ${check} ${status}${detail ? `  ${detail}` : ''}`;
}
