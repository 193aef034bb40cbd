/** @file No field of a config is passed over: another value gives another graph, is refused, or is said not to count. */

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { encodeModel } from '@onnx-lora/sdk/core';
import type { ModelProto } from '@onnx-lora/sdk/plugin';
import { isObject } from '@onnx-lora/sdk/data';
import { checkpointFolders } from '../../../test/support/caseFolders.ts';
import { buildGraphs } from './buildGraphs.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-fields-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Other values of a field, of its type. */
function others(value: unknown): unknown[] {
  if (typeof value === 'boolean') return [!value];
  if (typeof value === 'number') return Number.isInteger(value) ? [value + 1, value * 2] : [value * 1.5, 0];
  if (typeof value === 'string') return ['another'];
  if (Array.isArray(value)) return [[...(value as unknown[]), 1], []];
  return [];
}

/** Every field with a path, those of configs inside among them. */
function* fieldsOf(
  config: object,
  at: readonly string[] = [],
): Generator<readonly [place: readonly string[], value: unknown]> {
  for (const [name, value] of Object.entries(config)) {
    if (isObject(value) && name !== 'id2label' && name !== 'label2id') yield* fieldsOf(value, [...at, name]);
    else yield [[...at, name], value];
  }
}

function changed(config: object, [name, ...rest]: readonly string[], value: unknown): object {
  const inner = (config as Record<string, unknown>)[name!];
  return { ...config, [name!]: rest.length === 0 ? value : changed(inner as object, rest, value) };
}

/** A graph's structure and constants, its weights by the places where they lie. */
function printed(graphs: ReadonlyMap<string, ModelProto>): string {
  return [...graphs]
    .map(([name, model]) => {
      const initializer = model.graph!.initializer!.map((each) => ({
        ...each,
        rawData:
          each.rawData instanceof Uint8Array ? each.rawData : new TextEncoder().encode(JSON.stringify(each.rawData)),
      }));
      return (
        name +
        Buffer.concat(encodeModel({ ...model, graph: { ...model.graph!, initializer } }) as Uint8Array[]).toString(
          'base64',
        )
      );
    })
    .join();
}

/** Those that can be built. */
const folders = checkpointFolders().filter((folder) => {
  const { refused } = JSON.parse(readFileSync(path.join(folder, 'case.json'), 'utf8')) as { refused?: string };
  return refused === undefined;
});

test.each(folders)('every field of %s counts', async (folder) => {
  const copy = path.join(scratch, path.basename(folder));
  cpSync(folder, copy, { recursive: true });
  const config = JSON.parse(readFileSync(path.join(folder, 'config.json'), 'utf8')) as object;
  const file = path.join(copy, 'config.json');
  const built = await buildGraphs(copy);
  const before = printed(built.graphs);
  const passedOver: string[] = [];
  for (const [place, value] of fieldsOf(config)) {
    // Fields are left out here that `onnx-lora build` does not name as taken from the config.
    if (!(place.join('.') in built.config) || others(value).length === 0) continue;
    let counts = false;
    for (const other of others(value)) {
      writeFileSync(file, JSON.stringify(changed(config, place, other)));
      const after = await buildGraphs(copy).then(
        ({ graphs }) => printed(graphs),
        (error: unknown) => {
          if (error instanceof OnnxLoraError) return 'refused';
          throw error;
        },
      );
      counts ||= after !== before;
    }
    if (!counts) passedOver.push(place.join('.'));
  }
  expect(passedOver).toEqual([]);
});
