/** @file Packages that say in their package.json that they are plugins. They are listed, never loaded unasked. */

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** The keyword by which a package declares itself. */
export const PLUGIN_KEYWORD = 'onnx-lora-plugin';

/** A package that is there. */
export interface InstalledPackage {
  readonly name: string;
  readonly version: string;
  readonly description: string;
}

/** Packages with {@link PLUGIN_KEYWORD} in the `node_modules` of a folder and of those above it, by name. */
export function installedPlugins(folder: string): InstalledPackage[] {
  const found = new Map<string, InstalledPackage>();
  for (let at = path.resolve(folder); ; at = path.dirname(at)) {
    for (const entry of packagesIn(path.join(at, 'node_modules'))) {
      const plugin = pluginAt(entry);
      // The nearest is the one that would be loaded.
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

/** None of what is no folder, or may not be read. */
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
    // What is no package, or a broken one, is no plugin.
    return undefined;
  }
}
