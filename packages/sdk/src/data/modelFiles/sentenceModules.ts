/** @file Reads the files of sentence-transformers: pooling and length limits. */

import * as path from '../../platform/path.ts';
import { parseForeignJson } from '../../adapter/formats/foreignJson.ts';
import { OnnxLoraError } from '../../errors.ts';
import { ConfigFields, isObject, type JsonObject, readJsonObject, readModelFile } from './configFields.ts';

/** How token states are pooled into a sentence embedding. */
export interface SentencePooling {
  /** Mean over all tokens but padding, element-wise maximum, or the first token. */
  readonly mode: 'mean' | 'max' | 'cls';
  /** Whether embeddings are L2-normalised. */
  readonly isNormalized: boolean;
}

/** One entry of `modules.json`. */
export interface SentenceModule {
  /** Class without its package: `Pooling`. */
  readonly type: string;
  /** Its folder: `1_Pooling`. */
  readonly path: string;
}

const MOST = 1_000_000;
const MODULES = 'modules.json';
const KNOWN: ReadonlySet<string> = new Set(['Transformer, Pooling', 'Transformer, Pooling, Normalize']);
const modes = { pooling_mode_mean_tokens: 'mean', pooling_mode_max_tokens: 'max', pooling_mode_cls_token: 'cls' } as const; // prettier-ignore

/** The entries of `modules.json`, in order; undefined if there is no file. @throws OnnxLoraError `CONFIG_INVALID` */
export async function readSentenceModules(folder: string): Promise<readonly SentenceModule[] | undefined> {
  const file = path.join(folder, MODULES);
  const text = await readModelFile(file, MOST, 'a list of modules');
  if (text === undefined) return undefined;
  const list = listIn(text);
  if (!list?.every(isEntry))
    throw new OnnxLoraError('CONFIG_INVALID', `"${file}" is not a JSON list of modules. Copy it again.`);
  return list.map((each) => ({ type: each['type'].split('.').at(-1)!, path: each['path'] }));
}

/**
 * Reads the pooling of `modules.json` and of the Pooling that it names; undefined if there is no `modules.json`.
 * @param remedy what to do about an unsupported pooling, for the message
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` unless the modules are a Transformer, a Pooling of one known mode and
 *   perhaps a Normalize; `FILE_NOT_FOUND` for a Pooling without `config.json`; `CONFIG_INVALID` for an unreadable file
 */
export async function readSentencePooling(folder: string, remedy: string): Promise<SentencePooling | undefined> {
  const modules = await readSentenceModules(folder);
  if (!modules) return undefined;
  const types = modules.map(({ type }) => type).join(', ');
  const place = modules[1]?.path ?? '';
  if (!KNOWN.has(types) || !/^\d+_\w+$/.test(place)) {
    const found = KNOWN.has(types) ? `a Pooling in the folder "${place}"` : types || 'nothing';
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${path.join(folder, MODULES)}" lists ${found}. A Transformer, a Pooling in 1_Pooling and perhaps a Normalize are known. ${remedy}`,
    );
  }
  const file = path.join(folder, place, 'config.json');
  const config = await readJsonObject(file, MOST, 'a pooling');
  if (!config) {
    const message = `"${path.join(folder, MODULES)}" names "${file}", and there is no such file. Copy it too. ${remedy}`;
    throw new OnnxLoraError('FILE_NOT_FOUND', message);
  }
  return { mode: modeOf(config, file, remedy), isNormalized: modules.length > 2 };
}

/** Limits of `sentence_bert_config.json`. */
export interface SentenceLimits {
  /** Largest number of tokens, including special ones. */
  readonly maxLength?: number | undefined;
  /** Whether texts are lower-cased. */
  readonly isLowerCase: boolean;
}

const LIMITS = ['bert', 'roberta', 'distilbert', 'camembert', 'albert', 'xlm-roberta', 'xlnet'].map((kind) => `sentence_${kind}_config.json`); // prettier-ignore

/** Reads `sentence_bert_config.json`, or a file of its earlier names. @throws OnnxLoraError `CONFIG_INVALID` */
export async function readSentenceLimits(folder: string): Promise<SentenceLimits> {
  for (const name of LIMITS) {
    const file = path.join(folder, name);
    const config = await readJsonObject(file, MOST, 'the limits of a text');
    if (!config) continue;
    const fields = new ConfigFields(config, file);
    return {
      maxLength: fields.integer('max_seq_length', 1, Number.MAX_SAFE_INTEGER),
      isLowerCase: fields.boolean('do_lower_case') ?? false,
    };
  }
  return { isLowerCase: false };
}

function listIn(text: string): readonly unknown[] | undefined {
  try {
    const json = parseForeignJson(text);
    return Array.isArray(json) ? json : undefined;
  } catch {
    return undefined;
  }
}

function isEntry(entry: unknown): entry is Readonly<Record<'type' | 'path', string>> {
  return isObject(entry) && typeof entry['type'] === 'string' && typeof entry['path'] === 'string';
}

/** The single mode: `pooling_mode` since sentence-transformers 5, before that a flag per mode. */
function modeOf(config: JsonObject, file: string, remedy: string): SentencePooling['mode'] {
  const asked = Object.keys(config).filter((key) => key.startsWith('pooling_mode_') && config[key] === true);
  const said = config['pooling_mode'];
  const one = asked.length === 1 ? modes[asked[0] as keyof typeof modes] : undefined;
  const mode =
    said === undefined
      ? one
      : Object.values(modes).find((each) => each === (Array.isArray(said) && said.length === 1 ? said[0] : said));
  const isWhole = (config['include_prompt'] ?? true) === true;
  if (mode && isWhole) return mode;
  const found = mode ? '"include_prompt": false' : `the pooling ${JSON.stringify(said)?.slice(0, 80) ?? (asked.join(' and ') || 'null')}`; // prettier-ignore
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${file}" asks for ${found}. One of ${Object.keys(modes).join(', ')} is known, over all tokens. ${remedy}`,
  );
}
