/** @file Loads the plugins that the user asked for: code of others, which runs with the user's own rights. */

import { statSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { didYouMean, type Plugin } from '@onnx-lora/sdk/plugin';
import { installedPlugins } from './installed.ts';

/** A plugin as it was asked for. */
export interface AskedPlugin {
  /** A package's name, or a whole path. */
  readonly name: string;
  /** Where a package is looked for. */
  readonly folder: string;
}

/** What was asked for in a folder; a path is relative to it. */
export function askedIn(folder: string, name: string): AskedPlugin {
  return { name: isPath(name) ? path.resolve(folder, name) : name, folder };
}

/**
 * Loads plugins, in their order.
 *
 * @param calledIn the folder in which the command is called
 * @throws OnnxLoraError `PLUGIN_INVALID` for what is not there, fails to load, or exports no plugin
 */
export async function loadNamedPlugins(asked: readonly AskedPlugin[], calledIn: string): Promise<Plugin[]> {
  const loaded: Plugin[] = [];
  for (const each of asked) loaded.push(await loadNamed(each, calledIn));
  return loaded;
}

async function loadNamed({ name, folder }: AskedPlugin, calledIn: string): Promise<Plugin> {
  const url = path.isAbsolute(name) ? urlOfPath(name) : await urlOfPackage(name, folder, calledIn);
  let module: Readonly<Record<string, unknown>>;
  try {
    module = (await import(url)) as Readonly<Record<string, unknown>>;
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new OnnxLoraError(
      'PLUGIN_INVALID',
      `The plugin "${name}" cannot be loaded: ${message.split('\n')[0]!.replace(/[.\s]+$/, '')}. ${remedyFor(name, message)}.`,
      { cause },
    );
  }
  const plugins = Object.values(module).filter(isPlugin);
  const standard = module['default'] as { readonly default?: unknown } | null | undefined;
  // Of a CommonJS module, Node's default is all of its exports, a compiled one's own `default` among them.
  const chosen = [standard, standard?.default].find(isPlugin);
  const [plugin, another] = chosen ? [chosen] : new Set(plugins);
  if (plugin && !another) return plugin;
  const exported = Object.keys(module).join(', ') || 'nothing';
  throw new OnnxLoraError(
    'PLUGIN_INVALID',
    another
      ? `"${name}" exports several plugins (${exported}). Its default export must say which is meant.`
      : `"${name}" exports no plugin. One of its exports must be what definePlugin gives; it exports ${exported}.`,
  );
}

function remedyFor(name: string, message: string): string {
  if (/\.[cm]?ts$/.test(name)) return 'Name its compiled .js file';
  if (message.startsWith('Cannot find module'))
    return 'Build it (npm run build) where it is your own, or install it again';
  // As `.` had all names once, of which most are in other entries now.
  if (/'@onnx-lora\/sdk(\/\w+)?' does not provide an export/.test(message))
    return 'It is for another version of the SDK; in this one the name may be in @onnx-lora/sdk/plugin, /tasks, /data or /core. Install a newer version of the plugin, or mend its imports';
  return 'Mend it, or install it again';
}

function isPlugin(given: unknown): given is Plugin {
  return typeof given === 'object' && given !== null && 'contract' in given && 'parts' in given;
}

/** `./plugin.js`, `/home/me/plugin.js`, `plugin.mjs`; all else is a package's name. */
function isPath(name: string): boolean {
  return name.startsWith('.') || path.isAbsolute(name) || /\.[cm]?[jt]s$/.test(name);
}

function urlOfPath(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found && !found.isDirectory()) return pathToFileURL(file).href;
  throw new OnnxLoraError(
    'PLUGIN_INVALID',
    found
      ? `The plugin "${file}" is a folder. Name the .js file in it.`
      : `There is no plugin "${file}". Check the path.`,
  );
}

/**
 * Looks from the folder first; then from where the command is called, since a file of settings may lie elsewhere, as that of
 * a run does; then from the command's own place, where a global install has what lies beside it.
 */
async function urlOfPackage(name: string, folder: string, calledIn: string): Promise<string> {
  // A URL such as data: is code by itself, which a file of settings must not bring.
  if (name.includes(':')) {
    throw new OnnxLoraError(
      'PLUGIN_INVALID',
      `"${name}" is no plugin: it must be the name of an installed package, or the path of a .js file.`,
    );
  }
  const { resolve } = await import('import-meta-resolve');
  const folders = [folder, calledIn].map((each) => pathToFileURL(path.join(each, 'x.js')).href);
  for (const from of [...folders, import.meta.url]) {
    try {
      return resolve(name, from);
    } catch {
      continue;
    }
  }
  const names = installedPlugins(folder).map((each) => each.name);
  const there = names.length > 0 ? ` Plugins that are: ${names.join(', ')}.` : '';
  throw new OnnxLoraError(
    'PLUGIN_INVALID',
    `The plugin "${name}" is not installed in "${folder}".${didYouMean(name, names)}${there} Install it there, or give the path of its .js file.`,
  );
}
