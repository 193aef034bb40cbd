/** @file Tests of reading and writing adapters on disk: what PEFT wrote comes out as it went in, and damage is named. */

import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { float32, type Tensor } from '../../runtime/tensor.ts';
import { Adapter } from '../adapter.ts';
import { adapterConfig } from '../formats/peftConfig.ts';
import { readAdapter } from './readAdapter.ts';
import { readSafetensors, writeSafetensors } from '../formats/safetensors.ts';
import { PEFT_PREFIX, parseTensorName } from '../formats/tensorNames.ts';

const fixtures = path.join(import.meta.dirname, '../../../../..');
/** Folders that PEFT has saved. */
const peftFolders = ['packages/sdk/fixtures/adapters/peft', 'test/fixtures/cases'].flatMap((collection) =>
  readdirSync(path.join(fixtures, collection))
    // Those of methods that PEFT does not have.
    .filter((name) => !name.startsWith('methods-'))
    .flatMap((name) => [path.join(fixtures, collection, name), path.join(fixtures, collection, name, 'adapter')])
    .filter((folder) => existsSync(path.join(folder, 'adapter_model.safetensors')))
    .map((folder) => [path.relative(fixtures, folder), folder] as const),
);
const linear = path.join(fixtures, 'test/fixtures/cases/lora-linear/adapter');

function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-read-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

function contentOf(folder: string): Record<string, string> {
  const names = readdirSync(folder).sort();
  return Object.fromEntries(names.map((name) => [name, readFileSync(path.join(folder, name), 'latin1')]));
}

describe("PEFT's folders", () => {
  it.each(peftFolders)('%s is written as it was read, byte for byte', async (_, folder) => {
    const out = path.join(temporaryFolder(), 'out');
    await (await readAdapter(folder)).save(out);
    for (const [name, bytes] of Object.entries(contentOf(out))) {
      expect(bytes).toBe(readFileSync(path.join(folder, name), 'latin1'));
    }
  });

  it('are the same adapter without the prefix, and keep their names', async () => {
    const folder = temporaryFolder();
    const adapter = await readAdapter(linear);
    const [bare, again, peft] = ['bare', 'again', 'peft'].map((name) => path.join(folder, name)) as [
      string,
      string,
      string,
    ];
    await adapter.save(bare, { prefix: false });
    const { tensors } = await readSafetensors(path.join(bare, 'adapter_model.safetensors'));
    expect([...tensors.keys()]).toEqual([...adapter.tensors.keys()].map((name) => name.slice(PEFT_PREFIX.length)));
    const read = await readAdapter(bare);
    expect([...read.tensors.keys()].map(parseTensorName)).toEqual([...adapter.tensors.keys()].map(parseTensorName));
    await read.save(again);
    expect(contentOf(again)).toEqual(contentOf(bare));
    await read.save(peft, { prefix: true });
    expect(contentOf(peft)['adapter_model.safetensors']).toBe(contentOf(linear)['adapter_model.safetensors']);
  });

  it('come back from any names, sizes and number of files as they were', async () => {
    const folder = temporaryFolder();
    const module = fc.stringMatching(/^[a-z0-9_]{1,4}(\.[a-zé0-9]{1,3}){0,3}$/);
    const adapters = fc
      .uniqueArray(fc.tuple(module, fc.integer({ min: 1, max: 9 })), {
        minLength: 1,
        maxLength: 8,
        selector: ([name]) => name,
      })
      .map((modules) => {
        const tensors = modules.flatMap(([name, width], i): [string, Tensor][] => [
          [`${PEFT_PREFIX}${name}.lora_A.weight`, float32(new Float32Array(2 * width).fill(i), [2, width])],
          [`${PEFT_PREFIX}${name}.lora_B.weight`, float32(new Float32Array(2).fill(-i), [1, 2])],
        ]);
        return new Adapter(adapterConfig({ r: 2, loraAlpha: 4 }), new Map(tensors), 'ab'.repeat(32));
      });
    const options = fc.record(
      { prefix: fc.boolean(), maxShardBytes: fc.integer({ min: 1, max: 400 }) },
      { requiredKeys: [] },
    );
    await fc.assert(
      fc.asyncProperty(adapters, options, async (adapter, how) => {
        // Into one folder, whatever lies there from before.
        await adapter.save(path.join(folder, 'a'), { ...how, overwrite: true });
        const read = await readAdapter(path.join(folder, 'a'));
        expect(read.baseDigest).toBe(adapter.baseDigest);
        expect(read.config).toMatchObject({ r: 2, loraAlpha: 4 });
        const named = how.prefix === false ? (name: string): string => name.slice(PEFT_PREFIX.length) : String;
        // Files have an order of their own, which equality of maps does not see.
        expect(read.tensors).toEqual(new Map([...adapter.tensors].map(([name, tensor]) => [named(name), tensor])));
        const bytes = contentOf(path.join(folder, 'a'));
        const { prefix: _, ...same } = how;
        await read.save(path.join(folder, 'a'), { ...same, overwrite: true });
        expect(contentOf(path.join(folder, 'a'))).toEqual(bytes);
      }),
      { numRuns: 60 },
    );
  });
});

describe('tensors in several files', () => {
  /** An adapter of sixteen tensors in files of 2,000 bytes and fewer. */
  async function sharded(): Promise<string> {
    const folder = temporaryFolder();
    await (await readAdapter(linear)).save(folder, { maxShardBytes: 2000 });
    return folder;
  }

  function editIndex(
    folder: string,
    edit: (index: { weight_map: Record<string, unknown>; metadata: unknown }) => void,
  ): void {
    const file = path.join(folder, 'adapter_model.safetensors.index.json');
    const index = JSON.parse(readFileSync(file, 'utf8')) as { weight_map: Record<string, unknown>; metadata: unknown };
    edit(index);
    writeFileSync(file, JSON.stringify(index));
  }

  const first = 'adapter_model-00001-of-00003.safetensors';

  it('are read as one adapter', async () => {
    const folder = await sharded();
    expect(readdirSync(folder).sort()).toEqual([
      'adapter_config.json',
      first,
      'adapter_model-00002-of-00003.safetensors',
      'adapter_model-00003-of-00003.safetensors',
      'adapter_model.safetensors.index.json',
    ]);
    for (const name of readdirSync(folder).filter((each) => each.endsWith('.safetensors'))) {
      const { tensors } = await readSafetensors(path.join(folder, name));
      const size = [...tensors.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
      expect(size).toBeLessThanOrEqual(2000);
    }
    expect((await readAdapter(folder)).tensors).toEqual((await readAdapter(linear)).tensors);
  });

  it('give way to one file, and the other way round', async () => {
    const folder = await sharded();
    const adapter = await readAdapter(folder);
    writeFileSync(path.join(folder, 'README.md'), 'mine');
    await adapter.save(folder, { overwrite: true });
    expect(readdirSync(folder).sort()).toEqual(['README.md', 'adapter_config.json', 'adapter_model.safetensors']);
    await adapter.save(folder, { maxShardBytes: 3000, overwrite: true });
    expect(readdirSync(folder)).not.toContain('adapter_model.safetensors');
    expect((await readAdapter(folder)).tensors).toEqual(adapter.tensors);
  });

  it('must be as the index says', async () => {
    const refusal = async (edit: Parameters<typeof editIndex>[1]): Promise<string> => {
      const folder = await sharded();
      editIndex(folder, edit);
      return readAdapter(folder).then(() => 'none', (error: Error) => error.message); // prettier-ignore
    };
    const rename = (to: unknown) => (index: { weight_map: Record<string, unknown> }) => {
      for (const [name, file] of Object.entries(index.weight_map)) if (file === first) index.weight_map[name] = to;
    };
    expect(await refusal(rename('../x.safetensors'))).toContain('only .safetensors files beside it are read');
    expect(await refusal(rename('x.bin'))).toContain('only .safetensors files beside it are read');
    expect(await refusal(rename('x.safetensors'))).toContain('names the missing file "x.safetensors"');
    expect(await refusal(rename(3))).toContain('its weight_map names no file for "base_model');
    expect(await refusal(({ weight_map: map }) => delete map[Object.keys(map)[0]!])).toContain(
      'which the index does not place there',
    );
    expect(await refusal(({ weight_map: map }) => (map['more'] = first))).toContain(
      `the tensor "more" is missing from "${first}"`,
    );
    expect(await refusal((index) => (index.metadata = { total_size: 7 }))).toContain(
      'it promises 7 bytes of tensors, but its files hold',
    );
    expect(await refusal((index) => (index.weight_map = [] as never))).toContain('it has no "weight_map"');
  });

  it('are not read through links that lead elsewhere', async () => {
    const [folder, other] = [await sharded(), temporaryFolder()];
    cpSync(path.join(folder, first), path.join(other, 'secret.safetensors'));
    rmSync(path.join(folder, first));
    symlinkSync(path.join(other, 'secret.safetensors'), path.join(folder, first));
    await expect(readAdapter(folder)).rejects.toThrow('is a link that leads out of the folder');
  });

  it.each([0, -1, 1.5, NaN])('cannot have %s bytes', async (maxShardBytes) => {
    const adapter = await readAdapter(linear);
    await expect(adapter.save(temporaryFolder(), { maxShardBytes })).rejects.toMatchObject({ code: 'INPUT_INVALID' });
  });
});

describe('what is no adapter', () => {
  it('is a pickle', async () => {
    const folder = temporaryFolder();
    cpSync(path.join(linear, 'adapter_config.json'), path.join(folder, 'adapter_config.json'));
    writeFileSync(path.join(folder, 'adapter_model.bin'), 'PK');
    await expect(readAdapter(folder)).rejects.toThrow(
      'as a pickle (adapter_model.bin), which can run code when it is read. Save it again in PEFT with safe_serialization=True.',
    );
  });

  it('holds a tensor twice', async () => {
    const folder = temporaryFolder();
    cpSync(linear, folder, { recursive: true });
    const file = path.join(folder, 'adapter_model.safetensors');
    const { tensors } = await readSafetensors(file);
    const [name, tensor] = [...tensors][0]!;
    await writeSafetensors(file, tensors.set(name.slice(PEFT_PREFIX.length), tensor));
    await expect(readAdapter(folder)).rejects.toThrow('twice, with "base_model.model." before its name and without');
  });

  it.each([
    ['no config', (folder: string) => rmSync(path.join(folder, 'adapter_config.json')), 'holds no adapter_config.json'],
    [
      'no weights',
      (folder: string) => rmSync(path.join(folder, 'adapter_model.safetensors')),
      'holds no adapter_model.safetensors',
    ],
    ['Latin-1', (folder: string) => writeFileSync(path.join(folder, 'adapter_config.json'), '{"a": "\xfc"}', 'latin1'), 'line 1: the text is not UTF-8'], // prettier-ignore
    ['no JSON', (folder: string) => writeFileSync(path.join(folder, 'adapter_config.json'), '{'), 'is not valid JSON'],
    [
      'deep JSON',
      (folder: string) => writeFileSync(path.join(folder, 'adapter_config.json'), '['.repeat(99) + ']'.repeat(99)),
      'nested more than 64 deep',
    ],
  ])('has %s', async (_, damage, message) => {
    const folder = temporaryFolder();
    cpSync(linear, folder, { recursive: true });
    damage(folder);
    await expect(readAdapter(folder)).rejects.toThrow(message);
  });
});

it.each(['onnx/model.onnx', 'text_model.onnx', 'onnx/encoder_model.onnx'])(
  'a model in place of an adapter is named: %s',
  async (file) => {
    const folder = temporaryFolder();
    mkdirSync(path.join(folder, path.dirname(file)), { recursive: true });
    writeFileSync(path.join(folder, file), '');
    await expect(readAdapter(folder)).rejects.toMatchObject({
      code: 'ADAPTER_INVALID',
      message: expect.stringContaining(
        `is a model and no adapter: it holds ${file}, and no adapter_config.json`,
      ) as string,
    });
  },
);
