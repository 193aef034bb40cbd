/** @file Adapters in a folder of folders, as `onnx-lora train --out runs/NAME` leaves them; read only. */

import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { type Adapter, OnnxLoraError } from '@onnx-lora/sdk';
import { fileIdentity } from '@onnx-lora/sdk/data';
import { type AdapterCatalog, type AdapterChoiceOptions, type AdapterInfo, infoOf, isAdapterName, noSuchAdapter, type ResolvedAdapter } from './catalog.ts'; // prettier-ignore
import { type FileLimits, loadBounded } from './incoming.ts';
import type { UploadRules } from './upload.ts';

const CONFIG_FILE = 'adapter_config.json';
const WEIGHTS_FILE = /^adapter_model[\w.-]*\.(safetensors|json)$/;

export type RunRules = FileLimits & Pick<UploadRules, 'check'>;

interface Known {
  readonly signature: string;
  readonly info: AdapterInfo;
  /** Whether it fits the model, once checked. */
  fits?: boolean;
}

/**
 * Adapters named after their folders. A replaced folder has another version, the start of its files' digest, which
 * later requests get.
 */
export class RunFolders implements AdapterCatalog {
  readonly #root: string;
  readonly #limits: RunRules;
  readonly #known = new Map<string, Known>();

  /**
   * @param root folder with a folder per adapter: PEFT's files, or a run with `adapter` inside
   * @param limits only `maxTensors` applies; adapters of another base by `check` are not listed
   */
  constructor(root: string, limits: RunRules = {}) {
    this.#root = root;
    this.#limits = limits;
  }

  async resolve(name: string, { version }: AdapterChoiceOptions = {}): Promise<ResolvedAdapter> {
    const info = isAdapterName(name) ? await this.#read(name) : undefined;
    if (!info || (version !== undefined && version !== info.version)) throw noSuchAdapter(name, version);
    return info;
  }

  async list(): Promise<readonly AdapterInfo[]> {
    const names = (await readdir(this.#root).catch(noFiles)).filter(isAdapterName).sort();
    const found: AdapterInfo[] = [];
    for (const name of names) {
      const info = await this.#read(name);
      if (info && (await this.#fits(info))) found.push(info);
    }
    return found;
  }

  /** Whether an adapter fits the base. Unreadable ones are listed, and fail on use with the reason. */
  async #fits({ name }: AdapterInfo): Promise<boolean> {
    const known = this.#known.get(name)!;
    known.fits ??= await this.#check(name).then(
      () => true,
      (error: unknown) => !(error instanceof OnnxLoraError && error.code === 'ADAPTER_MISMATCH'),
    );
    return known.fits;
  }

  async #check(name: string): Promise<void> {
    const { check } = this.#limits;
    if (check) await check(await loadBounded(path.join(this.#root, name), this.#limits));
  }

  async load(key: string): Promise<Adapter> {
    const name = key.slice(0, key.lastIndexOf('@'));
    const adapter = await loadBounded(path.join(this.#root, name), this.#limits);
    // Its files may have been replaced meanwhile.
    if ((await this.resolve(name)).key === key) return adapter;
    throw new OnnxLoraError('FILE_NOT_FOUND', `The adapter "${name}" was exchanged while it was read. Ask again.`);
  }

  async #read(name: string): Promise<AdapterInfo | undefined> {
    const folder = path.join(this.#root, name);
    for (const inside of [folder, path.join(folder, 'adapter')]) {
      const files = (await readdir(inside).catch(noFiles)).filter((file) => file === CONFIG_FILE || WEIGHTS_FILE.test(file)); // prettier-ignore
      if (!files.includes(CONFIG_FILE) || files.length < 2) continue;
      return this.#described(name, files.sort().map((file) => path.join(inside, file))); // prettier-ignore
    }
    return undefined;
  }

  async #described(name: string, files: readonly string[]): Promise<AdapterInfo> {
    const stats = await Promise.all(files.map((file) => stat(file, { bigint: true })));
    const signature = stats.map(fileIdentity).join();
    const known = this.#known.get(name);
    if (known?.signature === signature) return known.info;
    const hash = createHash('sha256');
    for (const file of files) hash.update(await readFile(file));
    const digest = hash.digest('hex');
    const bytes = stats.reduce((sum, { size }) => sum + Number(size), 0);
    const info = infoOf(name, digest, bytes);
    this.#known.set(name, { signature, info });
    return info;
  }
}

/** A missing folder has no files. */
function noFiles(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [];
  throw error;
}
