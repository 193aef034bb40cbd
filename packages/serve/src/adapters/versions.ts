/** @file Versions of adapters in a folder, `NAME/VERSION/`. */

import { randomUUID } from 'node:crypto';
import { existsSync, renameSync } from 'node:fs';
import { mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import type { OnnxLoraError } from '@onnx-lora/sdk';
import { flushFolder, makeFolder } from '@onnx-lora/sdk/data';
import { inputInvalid } from '../http/errors.ts';
import { isAdapterName } from './catalog.ts';
import { type Manifest, readManifest, type State, writeManifest } from './manifest.ts';

export interface Version {
  readonly name: string;
  readonly version: string;
  /** `NAME@DIGEST`. */
  readonly key: string;
  readonly folder: string;
  readonly manifest: Manifest;
  readonly bytes: number;
}

// Not valid as adapter names.
const INCOMING = '~incoming';
const REMOVED = '~removed';

/** Versions in a folder that only this process changes. */
export class Versions {
  readonly #root: string;
  readonly #grace: number;
  #names = new Map<string, Map<string, Version>>();
  /** Recently removed versions. */
  readonly #removed = new Map<string, Version>();
  readonly #timers = new Set<NodeJS.Timeout>();

  /** @param grace milliseconds that removed versions stay available by key */
  constructor(root: string, grace: number) {
    this.#root = root;
    this.#grace = grace;
  }

  /** All versions, by name and age. */
  get all(): Version[] {
    return [...this.#names.values()].flatMap((each) => [...each.values()]).sort(byNameAndAge);
  }

  get bytes(): number {
    return this.all.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  find(name: string, version: string): Version | undefined {
    return this.#names.get(name)?.get(version);
  }

  /** Versions of a name, oldest first. */
  of(name: string): Version[] {
    return [...(this.#names.get(name)?.values() ?? [])].sort(byNameAndAge);
  }

  /** Finds a version by key, also shortly after its removal. */
  byKey(key: string): Version | undefined {
    const name = key.slice(0, key.lastIndexOf('@'));
    return this.of(name).find((each) => each.key === key) ?? this.#removed.get(key);
  }

  /** Rereads the folder. @throws OnnxLoraError `FILE_INVALID` for a damaged manifest */
  async read(): Promise<void> {
    const names = new Map<string, Map<string, Version>>();
    for (const name of await foldersIn(this.#root)) {
      const versions = new Map<string, Version>();
      for (const version of await foldersIn(path.join(this.#root, name))) {
        const folder = path.join(this.#root, name, version);
        const manifest = await readManifest(folder);
        if (manifest) versions.set(version, described(name, version, folder, manifest));
      }
      if (versions.size > 0) names.set(name, versions);
    }
    this.#names = names;
  }

  stage(): string {
    const folder = path.join(this.#root, INCOMING, randomUUID());
    makeFolder(folder);
    return folder;
  }

  /**
   * Turns a staged folder into a version, atomically and durably.
   * @throws OnnxLoraError `INPUT_INVALID` for an existing version with other files, `FILE_INVALID` where the disk
   *   refuses
   */
  async add(
    name: string,
    version: string,
    staged: string,
    facts: Omit<Manifest, 'format' | 'sequence'>,
  ): Promise<Version> {
    const known = this.find(name, version);
    if (known?.manifest.digest === facts.digest) return known;
    const folder = path.join(this.#root, name, version);
    if (known || existsSync(folder)) {
      throw inputInvalid(
        `"${name}" has another version "${version}" already, and versions never change. Name another one, or none.`,
      );
    }
    const sequence = this.all.reduce((last, { manifest }) => Math.max(last, manifest.sequence), 0) + 1;
    const manifest: Manifest = { format: 1, ...facts, sequence };
    await writeManifest(staged, manifest);
    await mkdir(path.dirname(folder), { recursive: true });
    await rename(staged, folder);
    await flushFolder(path.dirname(folder));
    await flushFolder(this.#root);
    const added = described(name, version, folder, manifest);
    this.#names.set(name, (this.#names.get(name) ?? new Map<string, Version>()).set(version, added));
    return added;
  }

  async remove({ name, version, key, folder }: Version): Promise<void> {
    const aside = path.join(this.#root, REMOVED, randomUUID());
    makeFolder(path.dirname(aside));
    const versions = this.#names.get(name)!;
    const removed = { ...versions.get(version)!, folder: aside };
    // Atomic for readers, which look for its new place on failure.
    renameSync(folder, aside);
    this.#removed.set(key, removed);
    versions.delete(version);
    if (versions.size === 0) this.#names.delete(name);
    await flushFolder(path.dirname(folder));
    await rmdir(path.dirname(folder)).catch(() => undefined);
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (this.#removed.get(key) === removed) this.#removed.delete(key);
      rm(aside, { recursive: true, force: true }).catch(() => undefined);
    }, this.#grace).unref();
    this.#timers.add(timer);
  }

  /** Deletes removed versions and partial uploads. */
  async clean(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#removed.clear();
    for (const each of [INCOMING, REMOVED]) await rm(path.join(this.#root, each), { recursive: true, force: true });
  }
}

function described(name: string, version: string, folder: string, manifest: Manifest): Version {
  const bytes = Object.values(manifest.sizes).reduce((sum, size) => sum + size, 0);
  return { name, version, key: `${name}@${manifest.digest}`, folder, manifest, bytes };
}

function byNameAndAge(a: Version, b: Version): number {
  if (a.name !== b.name) return a.name < b.name ? -1 : 1;
  return a.manifest.sequence - b.manifest.sequence;
}

/** Valid names of subfolders; links do not count. */
async function foldersIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries.filter((each) => each.isDirectory() && isAdapterName(each.name)).map(({ name }) => name);
}

/**
 * Refuses to delete pinned versions or shares of a split.
 * @param areAll whether these are all of the name
 * @throws OnnxLoraError `INPUT_INVALID`
 */
export function requireUnused(gone: readonly Version[], areAll: boolean, { pinned, splits }: State): void {
  const kept = gone.find(({ key }) => pinned.includes(key));
  if (kept) throw inUse(kept, 'it is pinned. Unpin it first.');
  for (const [split, shares] of Object.entries(splits)) {
    for (const { name = split, version } of shares) {
      const used = gone.find(
        (each) => each.name === name && (version === undefined ? areAll : version === each.version),
      );
      if (used) throw inUse(used, `requests for "${split}" are split between it and others. Change the split first.`);
    }
  }
}

function inUse({ name, version }: Version, why: string): OnnxLoraError {
  return inputInvalid(`"${name}" of version "${version}" cannot be deleted: ${why}`);
}
