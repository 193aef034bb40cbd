/** @file The versions of adapters in a folder, `NAME/VERSION/`: found, added, and taken away. */

import { randomUUID } from 'node:crypto';
import { existsSync, renameSync } from 'node:fs';
import { mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import type { OnnxLoraError } from '@onnx-lora/sdk';
import { flushFolder, makeFolder } from '@onnx-lora/sdk/data';
import { inputInvalid } from '../http/errors.ts';
import { isAdapterName } from './catalog.ts';
import { type Manifest, readManifest, type State, writeManifest } from './manifest.ts';

/** An adapter in its folder. */
export interface Version {
  readonly name: string;
  readonly version: string;
  /** `NAME@DIGEST`. */
  readonly key: string;
  readonly folder: string;
  readonly manifest: Manifest;
  /** Bytes of its files. */
  readonly bytes: number;
}

// Names that no adapter can have.
const INCOMING = '~incoming';
const REMOVED = '~removed';

/** What is in the folder, as far as this process knows: it is the only one that changes it. */
export class Versions {
  readonly #root: string;
  readonly #grace: number;
  #names = new Map<string, Map<string, Version>>();
  /** What was taken away a moment ago. */
  readonly #removed = new Map<string, Version>();
  readonly #timers = new Set<NodeJS.Timeout>();

  /** @param grace milliseconds for which what was taken away is still there for who knows its key */
  constructor(root: string, grace: number) {
    this.#root = root;
    this.#grace = grace;
  }

  /** All of them, of one name from the oldest on. */
  get all(): Version[] {
    return [...this.#names.values()].flatMap((each) => [...each.values()]).sort(byNameAndAge);
  }

  /** Bytes that they have together. */
  get bytes(): number {
    return this.all.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** A version of a name. */
  find(name: string, version: string): Version | undefined {
    return this.#names.get(name)?.get(version);
  }

  /** Those of a name, from the oldest on. */
  of(name: string): Version[] {
    return [...(this.#names.get(name)?.values() ?? [])].sort(byNameAndAge);
  }

  /** By its key, also for a while after it was taken away. */
  byKey(key: string): Version | undefined {
    const name = key.slice(0, key.lastIndexOf('@'));
    return this.of(name).find((each) => each.key === key) ?? this.#removed.get(key);
  }

  /**
   * Reads the folder anew.
   *
   * @throws OnnxLoraError `FILE_INVALID` for a manifest that is damaged
   */
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

  /** An empty folder for files on their way. */
  stage(): string {
    const folder = path.join(this.#root, INCOMING, randomUUID());
    makeFolder(folder);
    return folder;
  }

  /**
   * Makes a staged folder a version. It appears at once, and is on the disk when this resolves.
   *
   * @throws OnnxLoraError `INPUT_INVALID` where the version is another one already, `FILE_INVALID` where the disk refuses
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

  /** Takes a version away. */
  async remove({ name, version, key, folder }: Version): Promise<void> {
    const aside = path.join(this.#root, REMOVED, randomUUID());
    makeFolder(path.dirname(aside));
    const versions = this.#names.get(name)!;
    const removed = { ...versions.get(version)!, folder: aside };
    // In one step for whoever reads it now, and looks where it is when that fails.
    renameSync(folder, aside);
    this.#removed.set(key, removed);
    versions.delete(version);
    if (versions.size === 0) this.#names.delete(name);
    await flushFolder(path.dirname(folder));
    // Where it holds nothing else.
    await rmdir(path.dirname(folder)).catch(() => undefined);
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (this.#removed.get(key) === removed) this.#removed.delete(key);
      rm(aside, { recursive: true, force: true }).catch(() => undefined);
    }, this.#grace).unref();
    this.#timers.add(timer);
  }

  /** Clears up what was taken away, and what uploads have left that came to no end. */
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

/** Names in a folder that adapters and versions may have; links are none of them. */
async function foldersIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries.filter((each) => each.isDirectory() && isAdapterName(each.name)).map(({ name }) => name);
}

/**
 * Refuses to delete versions of a name that are pinned or that requests are split between.
 *
 * @param areAll whether the name has no others
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
