/** @file Bootstrap draws of a run's measurements, in a file of its folder, for comparing runs later. */

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { writeFileAtomic } from '@onnx-lora/sdk/data';
import type { Draws } from '@onnx-lora/sdk/tasks';
import { z } from 'zod';

export const DRAWS = 'draws.json';

export interface RunDraws {
  readonly before?: Draws | undefined;
  readonly after?: Draws | undefined;
}

/** A number in JSON, where NaN is null. */
export const jsonNumber: z.ZodType<number> = z.nullable(z.number()).transform((value) => value ?? NaN);

const MOST = 100_000;

const drawsSchema = z.record(
  z.string(),
  z.object({
    units: z.int().min(0),
    seed: z.int(),
    values: z
      .array(jsonNumber)
      .max(MOST)
      .transform((values) => Float64Array.from(values)),
  }),
);
const schema = z.object({ before: z.optional(drawsSchema), after: z.optional(drawsSchema) });

/** Adds draws to the file in a run's folder. */
export async function keepDraws(folder: string, draws: RunDraws): Promise<void> {
  const all = { ...readDraws(folder), ...draws };
  const text = JSON.stringify(all, (_, value: unknown) => (value instanceof Float64Array ? Array.from(value) : value));
  await writeFileAtomic(path.join(folder, DRAWS), `${text}\n`);
}

/** Reads a run's draws; empty without the file. @throws OnnxLoraError `FILE_INVALID` for a damaged file */
export function readDraws(folder: string): RunDraws {
  const file = path.join(folder, DRAWS);
  if (!existsSync(file)) return {};
  try {
    return schema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (cause) {
    throw new OnnxLoraError('FILE_INVALID', `"${file}" is damaged. Remove it: runs are compared without it.`, {
      cause,
    });
  }
}
