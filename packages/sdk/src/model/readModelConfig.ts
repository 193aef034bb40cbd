/** @file `config.json` of a model's folder. */

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { OnnxLoraError } from '../errors.ts';

/**
 * Reads the `config.json` of a folder laid out like a published repository.
 *
 * @returns undefined where the folder has none
 * @throws OnnxLoraError `CONFIG_INVALID` when it is not a JSON object
 */
export function readModelConfig(folder: string): Record<string, unknown> | undefined {
  const file = path.join(folder, 'config.json');
  if (!existsSync(file)) return undefined;
  try {
    const config = JSON.parse(readFileSync(file, 'utf8')) as unknown;
    if (typeof config === 'object' && config !== null && !Array.isArray(config))
      return config as Record<string, unknown>;
    throw new Error('it is not an object');
  } catch (cause) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${file}" is not readable as JSON: ${(cause as Error).message}. Download it again.`,
      { cause },
    );
  }
}
