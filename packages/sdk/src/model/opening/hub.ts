/** @file Downloads models and adapters through the hub client's cache. */

import { existsSync, readdirSync, readFileSync } from '../../platform/files.ts';
import * as path from '../../platform/path.ts';
import { environment } from '../../platform/system.ts';
import type * as Hub from '@huggingface/hub';
import { CONFIG_FILE, WEIGHTS_FILE } from '../../adapter/adapter.ts';
import { PICKLE_FILE } from '../../adapter/storage/readAdapter.ts';
import { writeFileAtomic } from '../../files/atomicWriter.ts';
import { OnnxLoraError } from '../../errors.ts';
import { isInside } from '../../graph/file/insideFolder.ts';
import { withoutUndefined } from '../../plugin/withoutUndefined.ts';
import type { ModelBuilder } from '../../plugin/registry/contributions.ts';
import { pathHint } from '../../files/notFound.ts';

const companions =
  /^(?:(?:config|preprocessor_config|processor_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|generation_config|genai_config|vocab|modules|sentence_[\w-]+_config|config_sentence_transformers)\.json|\d+_\w+\/config\.json|vocab\.txt|merges\.txt|chat_template\.jinja|(?:tokenizer|spiece)\.model)$/;

/** Advice for repositories without .onnx files. */
export const TO_ONNX = 'Build it with onnx-lora build, open it with the plugin of @onnx-lora/build, or export it with optimum-cli export onnx.'; // prettier-ignore

/** Paths in a model's folder of the files that configure its use, such as `config.json` and `1_Pooling/config.json`. */
export function companionsIn(folder: string): string[] {
  const names = readdirSync(folder);
  const modules = names.map((name) => `${name}/config.json`).filter((name) => companions.test(name));
  return [...names.filter((name) => companions.test(name)), ...modules.filter((name) => existsSync(path.join(folder, name)))]; // prettier-ignore
}

/** The model in full precision or a variant, with its external data. */
function isWeights(file: string, variant: string | undefined): boolean {
  const ending = variant === undefined ? '' : `_${variant}`;
  const name = /^(?:onnx\/)?(?:\w*model|decoder_model_merged|vision_encoder|prompt_encoder_mask_decoder)$/;
  const [, stem = ''] = /^(.*)\.onnx(?:[._]data\w*)?$/.exec(file) ?? [];
  return stem.endsWith(ending) && name.test(stem.slice(0, stem.length - ending.length));
}

const HUB_ID = /^[\w-][\w.-]*\/[\w-][\w.-]*$/;

/** True for a hub id such as `org/name` that is not a file path. */
export function isHubId(source: string): boolean {
  return HUB_ID.test(source) && !/\.(?:onnx|onnx_adapter|safetensors)$/.test(source);
}

/** Options of `loadAdapter`. */
export interface LoadAdapterOptions {
  /** Branch, tag or commit, for a hub id. */
  readonly revision?: string;
  /** Called with the name of each file to download. */
  readonly onDownload?: (file: string) => void;
  /** Maximum number of tensors per safetensors file, checked before reading; by default as the format allows. */
  readonly maxTensors?: number;
}

interface ModelDownload extends LoadAdapterOptions {
  /** `fp16` for `model_fp16.onnx`; full precision by default. */
  readonly variant?: string;
  readonly builders?: readonly ModelBuilder[];
}

/**
 * Downloads the needed files of a model repository unless cached, and returns their folder.
 * @throws OnnxLoraError `FILE_NOT_FOUND` if the model does not exist, has no ONNX file, or the hub is unreachable
 */
export function downloadModel(
  repo: string,
  { variant, builders = [], ...options }: ModelDownload = {},
): Promise<string> {
  const choose = (files: readonly string[]): string[] => {
    const wanted = files.filter((file) => companions.test(file) || isWeights(file, variant));
    if (wanted.some((file) => file.endsWith('.onnx'))) return wanted;
    const built = builders.map((builder) => builder.choose(files)).find((chosen) => chosen.length > 0);
    if (built && variant === undefined) return [...new Set([...built, ...wanted])];
    const which = variant === undefined ? 'no ONNX file' : `no ONNX file of the variant "${variant}"`;
    throw new OnnxLoraError('FILE_NOT_FOUND', `The hub's model "${repo}" has ${which}. ${TO_ONNX}`);
  };
  return download('a model', { repo, choose, ...options });
}

/** The files of a PEFT adapter: config, tensors in one or several files, and their index. */
const adapterFiles = /^adapter_(?:config\.json|model(?:-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json)$/;

/**
 * Downloads the adapter of a repository unless cached, never pickles, and returns its folder.
 * @throws OnnxLoraError `FILE_NOT_FOUND` if the repository does not exist or the hub is unreachable; `ADAPTER_INVALID`
 *   if it holds no adapter, or only a pickle
 */
export function downloadAdapter(repo: string, options: LoadAdapterOptions = {}): Promise<string> {
  const choose = (files: readonly string[]): string[] => {
    const wanted = files.filter((file) => adapterFiles.test(file));
    if (!wanted.includes(CONFIG_FILE)) {
      throw new OnnxLoraError(
        'ADAPTER_INVALID',
        `The hub's repository "${repo}" holds no ${CONFIG_FILE}: it is not an adapter that PEFT or onnx-lora has saved. Check the name.`,
      );
    }
    if (wanted.some((file) => file.endsWith('.safetensors'))) return wanted;
    throw new OnnxLoraError(
      'ADAPTER_INVALID',
      files.includes(PICKLE_FILE)
        ? `The hub's adapter "${repo}" holds its weights as a pickle (${PICKLE_FILE}), which can run code when it is read. Ask its author for safetensors, or save it again in PEFT with safe_serialization=True.`
        : `The hub's adapter "${repo}" holds no ${WEIGHTS_FILE}. Check the revision.`,
    );
  };
  return download('an adapter', { repo, choose, ...options });
}

interface Download extends LoadAdapterOptions {
  readonly repo: string;
  readonly choose: (files: readonly string[]) => string[];
}

async function download(what: string, wanted: Download): Promise<string> {
  // Imported on demand: local models do not need it.
  const hub = await import('@huggingface/hub');
  const { repo } = wanted;
  const cache = path.resolve(hub.getHFHubCachePath(), hub.getRepoFolderName({ type: 'model', name: repo }));
  try {
    const isOffline = /^(1|on|yes|true)$/i.test(environment['HF_HUB_OFFLINE'] ?? '');
    if (isOffline) throw new Error('HF_HUB_OFFLINE is set, and the cache does not have it');
    return await fetchSnapshot(hub, cache, wanted);
  } catch (cause) {
    if (cause instanceof OnnxLoraError) throw cause;
    // If the hub is unreachable, the cache serves; an answer of the hub counts.
    const snapshot = cause instanceof hub.HubApiError ? undefined : cachedSnapshot(cache, wanted);
    if (snapshot !== undefined) return snapshot;
    throw new OnnxLoraError(
      'FILE_NOT_FOUND',
      `There is no file or folder "${repo}".${pathHint(repo)} The hub did not give ${what} of that name: ${(cause as Error).message.split('\n')[0]}. Check the name, the network, and HF_TOKEN for private ones.`,
      { cause },
    );
  }
}

async function fetchSnapshot(
  { modelInfo, listFiles, downloadFileToCacheDir }: typeof Hub,
  cache: string,
  { repo, revision = 'main', choose, onDownload }: Download,
): Promise<string> {
  const connection = withoutUndefined({
    hubUrl: environment['HF_ENDPOINT'],
    accessToken: environment['HF_TOKEN'] || undefined,
  });
  // By commit, all files are in one folder; by branch, each would be in that of its last commit.
  const { sha } = await modelInfo({ ...connection, name: repo, revision, additionalFields: ['sha'] });
  const files: string[] = [];
  for await (const entry of listFiles({ ...connection, repo, revision: sha, recursive: true })) {
    if (entry.type === 'file') files.push(entry.path);
  }
  for (const file of choose(files)) {
    await announced(
      () => downloadFileToCacheDir({ ...connection, repo, revision: sha, path: file }),
      () => onDownload?.(file),
    );
  }
  const ref = path.join(cache, 'refs', revision);
  if (revision !== sha && isInside(ref, path.join(cache, 'refs'))) {
    await writeFileAtomic(ref, sha);
  }
  return path.join(cache, 'snapshots', sha);
}

/** The cached folder of a revision, if it still holds the chosen files. */
function cachedSnapshot(cache: string, { revision = 'main', choose }: Download): string | undefined {
  const ref = path.join(cache, 'refs', revision);
  const sha = isInside(ref, cache) && existsSync(ref) ? readFileSync(ref, 'utf8').trim() : revision;
  const snapshot = path.join(cache, 'snapshots', sha);
  if (!/^[0-9a-f]{40}$/.test(sha) || !existsSync(snapshot)) return undefined;
  const files = readdirSync(snapshot, { recursive: true, encoding: 'utf8' });
  choose(files.map((file) => file.replaceAll(path.sep, '/')));
  return snapshot;
}

/** The hub client announces downloads by console.debug, which would pollute the program's standard output. */
/* oxlint-disable no-console -- taken over for the time of a download, and given back */
async function announced<T>(download: () => Promise<T>, onDownload: () => void): Promise<T> {
  const debug = console.debug;
  console.debug = (...words: unknown[]): void => {
    if (String(words[0]).startsWith('Downloading')) onDownload();
    else debug(...words);
  };
  try {
    return await download();
  } finally {
    console.debug = debug;
  }
}
