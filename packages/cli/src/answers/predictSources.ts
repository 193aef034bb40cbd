/** @file Resolves arguments to sources: files, folders, standard input. */

import { existsSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Source } from '@onnx-lora/sdk/tasks';
import { notFound } from '@onnx-lora/sdk/plugin';
import { usageError } from '../terminal/errors.ts';
import { isFolder } from '../sources.ts';

export const STDIN = '-';

/** Refuses missing sources before a model is loaded. @throws OnnxLoraError `FILE_NOT_FOUND` */
export function requireSources(words: readonly string[]): void {
  const missing = words.find((word) => word !== STDIN && !existsSync(word));
  if (missing !== undefined) throw notFound('file or folder', missing);
}

/**
 * Expands folders to their files with known endings, recursively and sorted, without `node_modules` and hidden folders.
 * @param endings in lower case with the dot
 * @throws OnnxLoraError `CONFIG_INVALID` for a folder without such files, or standard input named twice
 */
export function predictSources(words: readonly string[], endings: readonly string[]): string[] {
  if (words.filter((word) => word === STDIN).length > 1)
    throw usageError('Standard input ("-") is named twice, and can be read once.');
  return words.flatMap((word) => (word !== STDIN && isFolder(word) ? filesBelow(word, endings) : [word]));
}

/** Sources for a predictor. */
export function given(sources: readonly string[]): readonly Source[] {
  return sources.map((source) => (source === STDIN ? process.stdin : source));
}

function filesBelow(folder: string, endings: readonly string[]): string[] {
  const found = allBelow(folder)
    .filter((file) => endings.some((ending) => path.basename(file).toLowerCase().endsWith(ending)))
    // Broken links fail only when named directly.
    .filter((file) => statSync(file, { throwIfNoEntry: false })?.isFile() ?? false)
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  if (found.length > 0) return found;
  throw usageError(`The folder "${folder}" holds no files to answer for. Looked for ${endings.join(', ')}.`);
}

/** Files and links; links to folders could be circular. */
function allBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const file = path.join(folder, entry.name);
    if (!entry.isDirectory()) return [file];
    return entry.name === 'node_modules' || entry.name.startsWith('.') ? [] : allBelow(file);
  });
}
