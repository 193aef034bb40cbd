/** @file What sentence-transformers writes beside a model: how the states of tokens become one vector. */

import { existsSync } from 'node:fs';
import path from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { decodeText, isObject, readJsonObject } from '@onnx-lora/sdk/data';
import { readFile } from 'node:fs/promises';

/** How states become the vector of a sentence. */
export interface SentencePooling {
  /** `mean` over real tokens, their largest numbers, or the first token. */
  readonly mode: 'mean' | 'max' | 'cls';
  /** Whether the vector has length 1. */
  readonly isNormalized: boolean;
}

const modes = { pooling_mode_mean_tokens: 'mean', pooling_mode_max_tokens: 'max', pooling_mode_cls_token: 'cls' } as const; // prettier-ignore
const MOST = 1_000_000;

/**
 * Reads `modules.json` and what it names.
 *
 * @returns undefined for a folder that is no repository of sentence-transformers
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for modules beside a model, one way of pooling and a normalisation
 */
export async function readSentencePooling(folder: string): Promise<SentencePooling | undefined> {
  const file = path.join(folder, 'modules.json');
  if (!existsSync(file)) return undefined;
  const kinds = modulesIn(file, decodeText(await readFile(file), `"${file}"`, 'CONFIG_INVALID'));
  const [transformer, pooling, ...rest] = kinds;
  const known = ['Transformer,Pooling', 'Transformer,Pooling,Normalize'];
  if (transformer === undefined || pooling === undefined || !known.includes(kinds.join())) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${file}" lists ${kinds.join(', ') || 'nothing'}, and only a Transformer, a Pooling and perhaps a Normalize can be built. Remove the file to have the model without them.`,
    );
  }
  return { mode: await modeIn(path.join(folder, '1_Pooling', 'config.json')), isNormalized: rest.length > 0 };
}

/** The classes that modules.json lists, without their packages. */
function modulesIn(file: string, text: string): string[] {
  try {
    const json: unknown = JSON.parse(text);
    if (Array.isArray(json))
      return json.map((each) =>
        String(isObject(each) ? each['type'] : each)
          .split('.')
          .at(-1)!,
      );
  } catch {
    // Said below.
  }
  throw new OnnxLoraError('CONFIG_INVALID', `"${file}" is not a JSON list. Copy it again.`);
}

async function modeIn(file: string): Promise<SentencePooling['mode']> {
  const config = (await readJsonObject(file, MOST, 'a pooling')) ?? {};
  const asked = Object.keys(config).filter((key) => key.startsWith('pooling_mode') && config[key] === true);
  const said = config['pooling_mode'];
  const mode = asked.length === 1 ? modes[asked[0] as keyof typeof modes] : said === 'mean' || said === 'max' || said === 'cls' ? said : undefined; // prettier-ignore
  if (mode) return mode;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${file}" asks for the pooling ${asked.join(' and ') || JSON.stringify(said ?? null)}, and one of ${Object.keys(modes).join(', ')} can be built. Remove modules.json to have the model without it.`,
  );
}
