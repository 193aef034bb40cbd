/** @file Finds installed plugin packages, and loads requested ones: third-party code that runs with the user's rights. */

import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { didYouMean, type Plugin } from '@onnx-lora/sdk/plugin';

export interface RequestedPlugin {
  /** A package's name or an absolute path. */
  readonly name: string;
  /** Where the package is resolved from. */
  readonly folder: string;
}

/** A plugin requested in a folder, which paths are relative to. */
export function requestedIn(folder: string, name: string): RequestedPlugin {
  return { name: isPath(name) ? path.resolve(folder, name) : name, folder };
}

/**
 * Loads plugins in order.
 * @throws OnnxLoraError `PLUGIN_INVALID` for a missing or failing module, or one without a plugin
 */
export async function loadNamedPlugins(asked: readonly RequestedPlugin[], calledIn: string): Promise<Plugin[]> {
  const loaded: Plugin[] = [];
  for (const each of asked) loaded.push(await loadNamed(each, calledIn));
  return loaded;
}

async function loadNamed({ name, folder }: RequestedPlugin, calledIn: string): Promise<Plugin> {
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
  // For CommonJS, Node's default is all exports, which may include a compiled `default`.
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
  // Older SDKs exported all names from `.`.
  if (/'@onnx-lora\/sdk(\/\w+)?' does not provide an export/.test(message))
    return 'It is for another version of the SDK; in this one the name may be in @onnx-lora/sdk/plugin, /tasks, /data or /core. Install a newer version of the plugin, or mend its imports';
  return 'Mend it, or install it again';
}

function isPlugin(given: unknown): given is Plugin {
  return typeof given === 'object' && given !== null && 'contract' in given && 'parts' in given;
}

/** `./plugin.js`, `/home/me/plugin.js`, `plugin.mjs`; anything else is a package. */
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

/** Resolves from `folder`, then the working folder (run configs lie elsewhere), then a global install. */
async function urlOfPackage(name: string, folder: string, calledIn: string): Promise<string> {
  // URLs such as data: are code, which config files must not contain.
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

export const PLUGIN_KEYWORD = 'onnx-lora-plugin';

export interface InstalledPackage {
  readonly name: string;
  readonly version: string;
  readonly description: string;
}

/** Plugin packages in `node_modules` of a folder and its parents, by name. */
export function installedPlugins(folder: string): InstalledPackage[] {
  const found = new Map<string, InstalledPackage>();
  for (let at = path.resolve(folder); ; at = path.dirname(at)) {
    for (const entry of packagesIn(path.join(at, 'node_modules'))) {
      const plugin = pluginAt(entry);
      // The nearest one would be loaded.
      if (plugin && !found.has(plugin.name)) found.set(plugin.name, plugin);
    }
    if (path.dirname(at) === at) break;
  }
  return [...found.values()].sort((a, b) => a.name.localeCompare(b.name));
}

function packagesIn(folder: string): string[] {
  return namesIn(folder).flatMap((name) => {
    if (name.startsWith('.')) return [];
    const entry = path.join(folder, name);
    return name.startsWith('@') ? namesIn(entry).map((inner) => path.join(entry, inner)) : [entry];
  });
}

/** Empty for an unreadable folder. */
function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function pluginAt(folder: string): InstalledPackage | undefined {
  try {
    const { name, version, description, keywords } = JSON.parse(
      readFileSync(path.join(folder, 'package.json'), 'utf8'),
    ) as Record<string, unknown>;
    if (typeof name !== 'string' || !Array.isArray(keywords) || !keywords.includes(PLUGIN_KEYWORD)) return undefined;
    const text = (value: unknown): string => (typeof value === 'string' ? value : '');
    return { name, version: text(version), description: text(description) };
  } catch {
    // No package, or a broken one.
    return undefined;
  }
}
