/** @file The licence of a model's weights, where its files say one. */

import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import path from 'node:path';
import type { Model } from '@onnx-lora/sdk';
import { isObject } from '@onnx-lora/sdk/data';
import { safetensorsMetadata } from '@onnx-lora/sdk/plugin';
import { parse } from 'yaml';

/** A licence as a model's files say it. */
export interface Licence {
  readonly name: string;
  readonly author?: string;
  /** The place that says so: `the file's metadata`. */
  readonly source: string;
}

/** Bytes of a README that are looked at. */
const README_BYTES = 65_536;
/** Fields of a model's card without a licence's name. */
const UNTOLD = new Set(['other', 'unknown']);

/** The licence in the file's metadata, in a README or config.json beside it, or in a checkpoint's weights. */
export function licenceOf(model: Model): Licence | undefined {
  const folder = model.folder ?? path.dirname(model.file);
  const folders = path.basename(folder) === 'onnx' ? [folder, path.dirname(folder)] : [folder];
  return (
    named(model.metadata, "the file's metadata") ??
    first(folders, (each) => named(card(path.join(each, 'README.md')), 'README.md')) ??
    named(model.config ?? {}, 'config.json') ??
    first(folders, (each) => named(ofWeights(path.join(each, 'model.safetensors')), 'model.safetensors'))
  );
}

function first<T>(folders: readonly string[], find: (folder: string) => T | undefined): T | undefined {
  for (const folder of folders) {
    const found = find(folder);
    if (found !== undefined) return found;
  }
  return undefined;
}

function named(fields: Readonly<Record<string, unknown>>, source: string): Licence | undefined {
  const text = (...names: readonly string[]): string | undefined => {
    const values = names.map((name) => fields[name]).map((each) => (Array.isArray(each) ? each.join(', ') : each));
    return values.find((each): each is string => typeof each === 'string' && each.trim() !== '');
  };
  const said = text('license', 'licence', 'License');
  const name = said === undefined || UNTOLD.has(said) ? (text('license_name') ?? said) : said;
  if (name === undefined) return undefined;
  const author = text('author', 'Author');
  return { name, ...(author !== undefined && { author }), source };
}

/** The fields at the start of a model's card, between lines of dashes. */
function card(file: string): Readonly<Record<string, unknown>> {
  if (!existsSync(file)) return {};
  const bytes = Buffer.alloc(README_BYTES);
  const handle = openSync(file, 'r');
  let length: number;
  try {
    length = readSync(handle, bytes, 0, README_BYTES, 0);
  } finally {
    closeSync(handle);
  }
  const [, front] = /^\uFEFF?---\r?\n([^]*?)\r?\n---/.exec(bytes.toString('utf8', 0, length)) ?? [];
  if (front === undefined) return {};
  try {
    const fields: unknown = parse(front, { maxAliasCount: 0 });
    return isObject(fields) ? fields : {};
  } catch {
    // A card is text for people; its mistakes are no reason to refuse the model.
    return {};
  }
}

function ofWeights(file: string): Readonly<Record<string, string>> {
  return existsSync(file) ? safetensorsMetadata(file) : {};
}
