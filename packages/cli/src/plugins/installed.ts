/** @file Finds installed plugin packages by their keyword, without loading them. */

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

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
