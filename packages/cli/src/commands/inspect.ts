/** @file `onnx-lora inspect`: shows a model and its adaptable modules. */

import { existsSync } from 'node:fs';
import path from 'node:path';
import {
  type IntegerPrecision,
  type PluginRegistry,
  type LoraPreview,
  type Model,
  type ModuleInfo,
  previewLora,
} from '@onnx-lora/sdk';
import type { GraphPort } from '@onnx-lora/sdk/tasks';
import { defaultTargetPaths } from '@onnx-lora/sdk/plugin';
import { DEFAULT_RANK, measurePrecisionGain, type NonMatch, type PrecisionGain } from '@onnx-lora/sdk/core';
import { type Command, Option } from 'commander';
import type { Context } from '../context.ts';
import { adapterSettings, loraOptions } from '../settings/adapter.ts';
import { commandOf, type Flags, modelArgument } from '../options.ts';
import { notLoadedHint } from '../plugins/requested.ts';
import { readSettings } from '../settings/readSettings.ts';
import type { Settings } from '../settings/setting.ts';
import { licenceOf } from './about/licence.ts';
import { oneModel, openNamed } from '../sources.ts';
import { usageError } from '../terminal/errors.ts';
import { formatTable, grouped, inBytes } from '../terminal/table.ts';
import { printable } from '../terminal/terminal.ts';

/** Makes the command. */
export function inspectCommand(context: Context): Command {
  return commandOf({
    name: 'inspect',
    description:
      "Describes a model (family, inputs, outputs, size) and its adaptable modules, by the paths that --targets matches. With --targets, marks the matching modules and counts the trainable parameters. With --precision, times products of the model's sizes on this machine. A LoRA file of image generation (.safetensors) is described too: layout, base, rank, trigger words and training.",
    words: modelArgument,
    flags: [
      'model',
      'fix',
      'precision',
      ...adapterSettings,
      new Option('--why', 'also list near misses of the patterns, with the node and the operand that differ'),
      'output',
    ],
    examples: [
      'onnx-lora inspect models/vit',
      'onnx-lora inspect models/vit --targets query,value --r 8   # what would this train?',
      "onnx-lora inspect model.onnx --targets 're:.*layer\\.[0-3]\\..*'",
      'onnx-lora inspect models/vit --precision int8   # what would integers bring here?',
      'onnx-lora inspect model.onnx --why   # why is this GELU not fused, this qkv not split?',
      'onnx-lora inspect style.safetensors   # for which base, with which words?',
      'onnx-lora inspect models/vit --json',
    ],
  }).action(async (word: string | undefined, flags: Flags & { why?: boolean }) => {
    const settings = await readSettings(flags, undefined);
    const source = oneModel(word, flags['model'], settings);
    if (source?.endsWith('.safetensors')) return describeFile(source, context, flags);
    const model = await openNamed(source, context, settings);
    const matched = preview(model, settings);
    const { precision } = model;
    if (precision?.name === 'float16' || precision?.name === 'bfloat16')
      throw usageError(
        `inspect does not measure ${precision.name}. Train a few steps with it and without: --steps 5 --no-eval --provider ${precision.name === 'float16' ? 'webgpu' : 'openvino'}.`,
      );
    const gain = precision && { ...precision, ...(await measurePrecisionGain(model, precision)) };
    const nonMatches = flags.why ? model.nonMatches() : undefined;
    if (flags.json)
      context.terminal.printJson({
        ...asJson(model, settings, matched, context),
        precision: gain ?? null,
        ...(nonMatches && { nonMatches }),
      });
    else {
      const lines = [
        ...asText(model, settings, matched, context, gain),
        ...(nonMatches ? nonMatchLines(nonMatches) : []),
      ];
      for (const line of lines) context.terminal.print(line);
    }
  });
}

/** Says what a LoRA file of image generation is. */
async function describeFile(file: string, { terminal }: Context, flags: Flags): Promise<void> {
  const { describeLoraFile, readLoraFile } = await import('@onnx-lora/diffusion');
  const opened = await readLoraFile(file);
  const found = describeLoraFile(opened);
  const counts = (all: Readonly<Record<string, number>>): string =>
    Object.entries(all)
      .map(([name, count]) => `${name} (${grouped(count)})`)
      .join(', ');
  const numbers = (all: readonly number[]): string => all.map((each) => String(Number(each.toPrecision(6)))).join(', ');
  terminal.result(flags, { file, ...found, base: found.base ?? null, metadata: opened.metadata }, () =>
    formatTable([
      ['file', file],
      ['layout', found.layout],
      ['base', found.base ?? 'not said'],
      ['networks', counts(found.networks)],
      ['forms', counts(found.forms)],
      ['rank', numbers(found.ranks) || '-'],
      ['alpha', numbers(found.alphas) || 'none, so that the scale is 1'],
      ['parameters', `${grouped(found.parameters)} in ${found.types.join(', ')}`],
      ['words', found.triggerWords.map(cut).join(', ') || '-'],
      ...Object.entries(found.training).map(([what, value], i) => [
        i === 0 ? 'training' : '',
        `${what}: ${cut(value)}`,
      ]),
    ]),
  );
}

/** Preview of the given or the family's targets; undefined without any. */
function preview(model: Model, settings: Settings): LoraPreview | undefined {
  const given =
    settings.targets !== undefined || settings.modulesToSave !== undefined || settings.targetParameters !== undefined;
  return given || hasUsualTargets(model) ? previewLora(model, loraOptions(settings)) : undefined;
}

/** A family without matching targets, such as one in development, must not hide the modules. */
function hasUsualTargets(model: Model): boolean {
  const paths = model.modules().map(({ path: own }) => own);
  return model.family !== undefined && defaultTargetPaths(model.family, paths).length > 0;
}

function asJson(
  model: Model,
  settings: Settings,
  matched: LoraPreview | undefined,
  { registry }: Context,
): Record<string, unknown> {
  return {
    name: model.name,
    file: model.file,
    parts: model.parts.map(({ name, file, inputs, outputs }) => ({
      name,
      file,
      inputs: portsAsJson(inputs),
      outputs: portsAsJson(outputs),
    })),
    producer: model.producer,
    opset: model.opset,
    family: model.family?.name ?? null,
    tasks: usualTasks(model, registry).installed,
    parameters: model.parameterCount,
    bytes: model.weightBytes,
    metadata: model.metadata,
    licence: licenceOf(model) ?? null,
    inputs: portsAsJson(model.inputs),
    outputs: portsAsJson(model.outputs),
    modules: model.modules().map(({ weightShape: shape, ...module }) => ({ ...module, shape })),
    unadaptable: model.unadaptable(),
    targets: matched
      ? {
          given: settings.targets ?? null,
          ...(settings.tuner === undefined ? { r: settings.r ?? DEFAULT_RANK } : { tuner: settings.tuner }),
          modules: matched.targets,
          parameters: matched.parameters,
          tokens: matched.tokens,
          trained: matched.trained,
          trainableParameters: matched.trainableParameters,
          warnings: matched.warnings,
        }
      : null,
  };
}

/** The family's tasks, split by whether a plugin provides them. */
function usualTasks(
  model: Model,
  { tasks }: PluginRegistry,
): { installed: readonly string[]; missing: readonly string[] } {
  const usual = model.family?.tasks ?? [];
  const isInstalled = (name: string): boolean => tasks.some((task) => task.name === name);
  return { installed: usual.filter(isInstalled), missing: usual.filter((name) => !isInstalled(name)) };
}

function portsAsJson(ports: Readonly<Record<string, GraphPort>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(ports).map(([name, { type, dims }]) => [name, { type, dims: dims ?? null }]),
  );
}

function asText(
  model: Model,
  settings: Settings,
  matched: LoraPreview | undefined,
  context: Context,
  gain: (IntegerPrecision & PrecisionGain) | undefined,
): readonly string[] {
  const { bold, dim } = context.terminal.colours;
  const tasks = usualTasks(model, context.registry);
  // An unknown family, or unknown tasks, may be a plugin's.
  const hint = model.family && tasks.missing.length === 0 ? '' : notLoadedHint(context).trim();
  const facts = formatTable([
    model.files.every((file) => existsSync(file)) ? [model.parts.length > 0 ? 'folder' : 'file', model.file] : ['checkpoint', `${model.folder ?? model.name} (its graph is built when it is opened)`], // prettier-ignore
    ...model.parts.map((part, i) => [i === 0 ? 'parts' : '', partAsText(part)]),
    ['producer', `${model.producer}, opset ${model.opset}`],
    ['family', model.family ? `${model.family.name} (${model.family.domain})` : 'not recognised'],
    ['tasks', [...tasks.installed, ...tasks.missing.map((name) => `${name} (not installed)`)].join(', ') || '-'],
    ['inputs', portsAsText(model.inputs)],
    ['outputs', portsAsText(model.outputs)],
    ['parameters', `${grouped(model.parameterCount)} (${inBytes(model.weightBytes)})`],
    ...(gain ? [['precision', gainAsText(gain)]] : []),
    ...licenceRow(model),
    ...metadataRows(model.metadata),
    ...(hint === '' ? [] : [['plugins', hint]]),
  ]);
  const modules = model.modules();
  const others = unadaptableLines(model).map(printable);
  const about = [bold(printable(model.name)), ...facts.map(printable), ''];
  if (modules.length === 0) return [...about, 'No module can be adapted.', ...others];
  const { table, isWhole } = moduleTable(
    modules,
    new Set([...(matched?.targets ?? []), ...(matched?.parameters ?? []), ...(matched?.tokens ?? [])]),
    context.terminal.width,
  );
  const [head, ...rows] = table;
  return [
    ...about,
    dim(head!),
    ...rows.map(printable),
    '',
    ...(isWhole ? [] : ['How weights are stored and where paths are from: on a wider terminal, or --json.', '']),
    ...others,
    ...summary(model, settings, matched).map(printable),
  ];
}

function partAsText({ file, inputs, outputs }: Model): string {
  const [from, to] = [inputs, outputs].map((ports) => {
    const names = Object.keys(ports);
    return names.length > 4 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', ');
  });
  return `${path.basename(file)}: ${from} → ${to}`;
}

function portsAsText(ports: Readonly<Record<string, GraphPort>>): string {
  return Object.entries(ports)
    .map(([name, { type, dims }]) => `${name} ${type} [${dims?.join(', ') ?? '?'}]`)
    .join('; ');
}

function gainAsText(gain: IntegerPrecision & PrecisionGain): string {
  const { name, products, weights, time, floatBytes, integerBytes } = gain;
  const what = `${grouped(products)} products with ${grouped(weights)} weights`;
  const took = `${time.toFixed(2)} of their time in float32 on this machine`;
  return name === 'int8'
    ? `${what} take ${took}, and ${inBytes(integerBytes)} for ${inBytes(floatBytes)}`
    : `the gradients of ${what} take ${took}, and ${inBytes(integerBytes)} beside ${inBytes(floatBytes)}`;
}

/** Licences under which a changed work stays, or which forbid some uses. */
const binding = /\b(?:A|L)?GPL\b|\bA?GPL-|CC-BY-(?:NC|SA|ND)|\bcc-by-(?:nc|sa|nd)/i;

function licenceRow(model: Model): string[][] {
  const found = licenceOf(model);
  if (!found) return [];
  const { name, author, source } = found;
  const stays = binding.test(name) ? '; the weights stay under it, and so do files merged from them' : '';
  return [['licence', `${cut(name)}${author === undefined ? '' : `, by ${cut(author)}`}, as ${source} says${stays}`]];
}

/** Limits in the terminal; `--json` has everything. */
const LONGEST = 60;
const MOST = 8;

function metadataRows(metadata: Readonly<Record<string, string>>): string[][] {
  const entries = Object.entries(metadata);
  const rows = entries.slice(0, MOST).map(([key, value]) => `${key}: ${cut(value)}`);
  const more = entries.length > rows.length ? [`and ${entries.length - rows.length} more entries (--json)`] : [];
  return [...rows, ...more].map((text, i) => [i === 0 ? 'metadata' : '', text]);
}

/** Shortens a text to one line, with its length. */
function cut(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ');
  return line.length <= LONGEST
    ? line
    : `${line.slice(0, LONGEST)}… (${grouped(text.length)} characters, all in --json)`;
}

/** Products that cannot be adapted, with the reason. */
function unadaptableLines(model: Model): string[] {
  const all = model.unadaptable();
  if (all.length === 0) return [];
  const [shown, what] = [all.slice(0, MOST), all.length === 1 ? '1 product' : `${all.length} products`];
  const lines = shown.map(({ node, operator, shape, reason }) => {
    const size = shape ? `, ${shape.join('×')}` : '';
    return `  ${cut(node)} (${operator}${size}) ${reason}.`;
  });
  const more = all.length > shown.length ? [`  … and ${all.length - shown.length} more (--json lists them).`] : [];
  return [`${what} with weights cannot be adapted:`, ...lines, ...more, ''];
}

/** Near misses of patterns, with their differences. */
function nonMatchLines(nonMatches: readonly NonMatch[]): string[] {
  if (nonMatches.length === 0) return ['', 'Nothing in the graph is almost a pattern.'];
  const lines = nonMatches.map(({ pattern, at, reason }) => printable(`  ${at} is almost ${pattern}, but ${reason}.`));
  return ['', 'Not fused or not split:', ...lines];
}

/** The table; without its last two columns on narrow terminals. */
function moduleTable(
  modules: readonly ModuleInfo[],
  targets: ReadonlySet<string>,
  width: number,
): { table: string[]; isWhole: boolean } {
  const rows = modules.map(
    ({ path, kind, weightShape, groups, parameters, pathSource, confidence, storage, partOf }) => [
      targets.has(path) ? '*' : ' ',
      path,
      groups > 1 ? `${kind} in ${groups} groups` : partOf === undefined ? kind : `part of ${partOf.split('.').at(-1)}`,
      weightShape.join('×'),
      grouped(parameters),
      storage,
      confidence === 'certain' ? pathSource : `${pathSource} (${confidence})`,
    ],
  );
  const all = [[' ', 'module', 'kind', 'weight', 'parameters', 'stored as', 'path from'], ...rows];
  const table = (columns: number): string[] =>
    formatTable(
      all.map((row) => row.slice(0, columns)),
      ['left', 'left', 'left', 'left', 'right', 'left', 'left'],
    );
  const whole = table(7);
  const isWhole = whole.every(({ length }) => length <= width);
  return { table: isWhole ? whole : table(5), isWhole };
}

function summary(model: Model, settings: Settings, matched: LoraPreview | undefined): string[] {
  if (!matched) {
    const missing = model.family ? `The usual targets of ${model.family.name} are not in this model. ` : '';
    return [`${missing}Name modules to adapt with --targets: ends of these paths, re:PATTERN, or all-linear.`];
  }
  const share = ((100 * matched.trainableParameters) / model.parameterCount).toFixed(2);
  const which =
    settings.targets === undefined
      ? `the usual targets of ${model.family?.name ?? 'the model'}`
      : `--targets ${String(settings.targets)}`;
  const saved = matched.trained.length > 0 ? `, and in full ${matched.trained.join(', ')}` : '';
  return [
    `* ${which}: ${matched.targets.length} of ${model.modules().filter(({ partOf }) => partOf === undefined).length} modules${saved}; with ${settings.tuner ?? `r ${settings.r ?? DEFAULT_RANK}`} ${grouped(matched.trainableParameters)} trainable parameters (${share}% of the model's).`,
    ...matched.warnings,
  ];
}
