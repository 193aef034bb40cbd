/** @file A kill before any call of the file system leaves the old files or the new ones, whole, and nothing after the next success. */

import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { tmpdir } from 'node:os';
import { afterAll, describe, expect, it } from 'vitest';
import { golden, mlp } from '../../fixtures/inits/mlp.ts';
import { failureAt, powerOffAt, watchFiles, withoutLinks } from '../../fixtures/powerOff.ts';
import { Adapter } from '../adapter/adapter.ts';
import { combineAdapters } from '../adapter/combine/combine.ts';
import { saveOnnxAdapter } from '../adapter/storage/convert.ts';
import { adapterConfig } from '../adapter/formats/peftConfig.ts';
import { writeOnnx } from '../graph/file/onnxFile.ts';
import { float32, type Tensor } from '../runtime/tensor.ts';
import { exportWithInputs } from './merging/exportWithInputs.ts';
import { loadAdapter } from './opening/loadAdapter.ts';
import { merge } from './merging/merge.ts';
import { openModel } from './openModel.ts';
import { isNightly } from '../../../../test/support/nightly.ts';

await watchFiles();
const root = mkdtempSync(path.join(tmpdir(), 'onnx-lora-killed-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

type Files = Readonly<Record<string, string>>;

/** Files by their paths from a folder, links followed; temporary ones are left out unless all are wanted. */
function filesIn(folder: string, all = false): Files {
  if (!existsSync(folder)) return {};
  const names = (readdirSync(folder, { recursive: true }) as string[]).filter(
    (name) => all || !/(^|[/\\])[.]/.test(name),
  );
  return Object.fromEntries(
    names.sort().flatMap((name) => {
      try {
        return [[name, readFileSync(path.join(folder, name)).toString('base64')]];
      } catch (cause) {
        // A folder, or a link to a file that is not there yet: nobody can read that.
        return all && (cause as NodeJS.ErrnoException).code === 'ENOENT' ? [[name, 'leads nowhere']] : [];
      }
    }),
  );
}

const overwrite = { overwrite: true } as const;
const base = path.join(root, 'base');
writeOnnx(path.join(base, 'onnx', 'model.onnx'), mlp((layer) => golden(`base.${layer}.weight`)).model);
writeFileSync(path.join(base, 'config.json'), '{"model_type":"none"}');
writeFileSync(path.join(base, 'tokenizer.json'), '{}');
const model = await openModel(base);

const [out, width] = golden('base.fc1.weight').dims as [number, number];
const values = (seed: number, ...dims: number[]): Tensor =>
  float32(
    Float32Array.from({ length: dims.reduce((a, b) => a * b) }, (_, i) => Math.sin(seed + i)),
    dims,
  );
const adapterOf = (seed: number, r: number): Adapter =>
  new Adapter(
    adapterConfig({ r, loraAlpha: 2 * r, targetModules: ['fc1'] }),
    new Map([
      ['base_model.model.fc1.lora_A.weight', values(seed, r, width)],
      ['base_model.model.fc1.lora_B.weight', values(seed + 1, out, r)],
    ]),
  );
const [older, newer] = [adapterOf(1, 2), adapterOf(2, 3)];
const both = combineAdapters(
  [older, newer].map((adapter, i) => ({ adapter, weight: 0.5, name: String(i) })),
  { method: 'cat' },
);

/** A writer and its reader; it writes into a new folder, then over files of another adapter. */
interface Case {
  readonly write: (folder: string, adapter: Adapter) => Promise<unknown>;
  readonly open: (folder: string) => Promise<unknown>;
}

const adapterIn = (folder: string): Promise<unknown> => loadAdapter(path.join(folder, 'a'));
const cases: Record<string, Case> = {
  save: { write: (folder, adapter) => adapter.save(path.join(folder, 'a'), overwrite), open: adapterIn },
  'save in several files, or one': {
    write: (folder, adapter) =>
      adapter.save(path.join(folder, 'a'), { ...overwrite, ...(adapter === newer && { maxShardBytes: 1 }) }),
    open: adapterIn,
  },
  combine: {
    write: (folder, adapter) => (adapter === newer ? both : adapter).save(path.join(folder, 'a'), overwrite),
    open: adapterIn,
  },
  convert: {
    write: (folder, adapter) => saveOnnxAdapter(adapter, path.join(folder, 'a.onnx_adapter'), overwrite),
    open: (folder) => loadAdapter(path.join(folder, 'a.onnx_adapter')),
  },
  'merge into a file': {
    write: (folder, adapter) => merge(model, adapter, path.join(folder, 'm.onnx'), overwrite),
    open: (folder) => openModel(path.join(folder, 'm.onnx')),
  },
  'merge into a file with weights beside it': {
    write: (folder, adapter) => {
      const { model: proto } = mlp((layer) => (layer === 'fc2' ? golden('base.fc2.weight') : values(adapter.config.r, out, width))); // prettier-ignore
      return Promise.resolve().then(() => writeOnnx(path.join(folder, 'm.onnx'), proto, 0));
    },
    open: (folder) => openModel(path.join(folder, 'm.onnx')),
  },
  'merge into a folder': {
    // Files beside the base are copied unchanged, so only a new folder gets them.
    write: (folder, adapter) => merge(model, adapter, path.join(folder, 'm'), overwrite),
    open: (folder) => openModel(path.join(folder, 'm')),
  },
  export: {
    write: (folder, adapter) =>
      exportWithInputs(
        model,
        { one: adapter, two: adapter === newer ? both : older },
        path.join(folder, 'm.onnx'),
        overwrite,
      ),
    open: (folder) => openModel(path.join(folder, 'm.onnx')),
  },
};

/** Files before and after, made in a folder of their own. */
async function sides(
  { write }: Case,
  onto: 'nothing' | 'another',
): Promise<{ old: string; before: Files; after: Files }> {
  const old = mkdtempSync(path.join(root, 'old-'));
  if (onto === 'another') {
    await write(old, older);
    // Whatever else lies there stays.
    writeFileSync(path.join(old, 'README.md'), 'mine');
  }
  const changed = mkdtempSync(path.join(root, 'new-'));
  cpSync(old, changed, { recursive: true });
  await write(changed, newer);
  return { old, before: filesIn(old), after: filesIn(changed) };
}

const isOneOf = (found: Files, ...sets: readonly Files[]): boolean =>
  sets.some((each) => JSON.stringify(each) === JSON.stringify(found));

/** Step between the file calls of a writer that are tried. */
const STEP = isNightly ? 1 : 3;

describe.each(Object.entries(cases))('%s', (name, each) => {
  it.each(['another', 'nothing'] as const)('over %s, killed before any call', async (onto) => {
    const { old, before, after } = await sides(each, onto);
    expect(isOneOf(before, after)).toBe(false);
    const seen = new Set<string>();
    for (let call = 0, isOff = true; isOff; call += STEP) {
      const folder = mkdtempSync(path.join(root, 'killed-'));
      cpSync(old, folder, { recursive: true });
      isOff = await powerOffAt(call, () => each.write(folder, newer));
      // Any program, at once.
      const found = filesIn(folder);
      expect(isOneOf(found, before, after), `after ${call} calls: ${Object.keys(found).join()}`).toBe(true);
      seen.add(isOneOf(found, before) ? 'old' : 'new');
      // Ours, which may clear up.
      const opened = await each.open(folder).catch((error: Error) => error);
      if (onto === 'another') expect(opened).not.toBeInstanceOf(Error);
      expect(filesIn(folder)).toEqual(found);
      await each.write(folder, newer);
      expect(filesIn(folder, true)).toEqual(after);
      rmSync(folder, { recursive: true });
    }
    expect([...seen].sort()).toEqual(['new', 'old']);
  });

  it.runIf(['save', 'save in several files, or one', 'convert'].includes(name))(
    'with one call that fails is told, and leaves old or new files',
    async () => {
      const { old, before, after } = await sides(each, 'another');
      for (let call = 0, found: Awaited<ReturnType<typeof failureAt>> = { name: '' }; found; call++) {
        const folder = mkdtempSync(path.join(root, 'failed-'));
        cpSync(old, folder, { recursive: true });
        found = await failureAt(call, () => each.write(folder, newer));
        if (found?.error !== undefined) expect(found.error).toMatchObject({ name: 'OnnxLoraError' });
        expect(isOneOf(filesIn(folder), before, after), `call ${call}, ${found?.name}`).toBe(true);
        await each.write(folder, newer);
        expect(filesIn(folder, true)).toEqual(after);
        rmSync(folder, { recursive: true });
      }
    },
  );

  it.skipIf(/combine|merge into a f(ile$|older)/.test(name))(
    'where there are no links, killed before any call: files may be missing, and are whole when we open them',
    async () => {
      const { old, before, after } = await sides(each, 'another');
      for (let call = 0, isOff = true; isOff; call += STEP) {
        const folder = mkdtempSync(path.join(root, 'unlinked-'));
        cpSync(old, folder, { recursive: true });
        isOff = await powerOffAt(call, () => withoutLinks(() => each.write(folder, newer)));
        const found = Object.entries(filesIn(folder));
        const fits = (set: Files): boolean => found.every(([name, content]) => set[name] === content);
        expect(fits(before) || fits(after), `after ${call} calls`).toBe(true);
        await each.open(folder);
        expect(isOneOf(filesIn(folder), before, after), `after ${call} calls`).toBe(true);
        await withoutLinks(() => each.write(folder, newer));
        expect(filesIn(folder, true)).toEqual(after);
        rmSync(folder, { recursive: true });
      }
    },
  );
});

/** A disk of one page that is full, where the system lets us have one; the tests that need it are left out elsewhere. */
const tiny = path.join(root, 'tiny');
mkdirSync(tiny);
const isMounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4k', 'tmpfs', tiny]).status === 0;
if (isMounted) writeFileSync(path.join(tiny, 'full'), new Uint8Array(4096));
afterAll(() => {
  if (isMounted) spawnSync('umount', [tiny]);
});

describe.each(Object.entries(cases))('what the system refuses to %s', (_, { write }) => {
  const everything = (folder: string): string[] => (readdirSync(folder, { recursive: true }) as string[]).sort();
  const refused = async (folder: string): Promise<string> => {
    const error: unknown = await write(folder, newer).then(
      () => undefined,
      (cause: unknown) => cause,
    );
    expect(error).toMatchObject({ name: 'OnnxLoraError', code: 'FILE_INVALID' });
    const { message } = error as Error;
    expect(message).toContain(folder);
    expect(message).toMatch(/\. (?:Check|Remove|Name|Free|It may not)/);
    return message;
  };

  it('where a file stands in place of the folder', async () => {
    const file = path.join(root, 'file');
    writeFileSync(file, 'mine');
    await refused(file);
    expect(readFileSync(file, 'utf8')).toBe('mine');
  });

  it('where folders stand in place of the files', async () => {
    const { after } = await sides({ write, open: () => Promise.resolve() }, 'nothing');
    const folder = mkdtempSync(path.join(root, 'folders-'));
    for (const name of Object.keys(after)) mkdirSync(path.join(folder, name), { recursive: true });
    const before = everything(folder);
    await refused(folder);
    expect(everything(folder)).toEqual(before);
  });

  it.runIf(process.platform === 'linux')('where nobody has the right', async () => {
    expect(await refused('/sys/kernel/onnx-lora')).toMatch(/EACCES|EPERM|EROFS/);
  });

  it.runIf(isMounted)('where the disk is full', async () => {
    expect(await refused(path.join(tiny, 'out'))).toContain('ENOSPC');
    expect(everything(tiny).filter((name) => name !== 'out')).toEqual(['full']);
  });
});
