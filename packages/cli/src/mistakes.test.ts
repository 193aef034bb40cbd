/** @file Mistakes of users: the message, exit code 2, no stack, and nothing written. */

import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Adapter, float32, loadAdapter } from '@onnx-lora/sdk';
import { writeSafetensors } from '@onnx-lora/sdk/data';
import { describe, expect, it } from 'vitest';
import { writeDigits } from '../../../test/fixtures/digits.ts';
import { call, callJson, temporaryFolder, vit } from '../fixtures/call.ts';

/** PEFT's defaults. */
const { config } = await loadAdapter(
  fileURLToPath(new URL('../../../test/fixtures/cases/lora-linear/adapter', import.meta.url)),
);

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
}

/** The message of a mistaken call without the folders' names; `folder` must stay unchanged. */
async function mistake(folder: string, ...argv: string[]): Promise<string> {
  const before = filesIn(folder);
  const { code, stdout, stderr } = await call([...argv, '--quiet']);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr.trimEnd().split('\n').length).toBeLessThanOrEqual(3);
  expect(stderr).not.toMatch(/^ {4}at /m);
  expect(filesIn(folder)).toEqual(before);
  return stderr.replaceAll(vit, 'MODEL').replaceAll(folder, 'FOLDER');
}

function digits(folder: string): string {
  const data = path.join(folder, 'digits');
  writeDigits(data, { perClass: 2, classes: [3, 8] });
  return data;
}

describe('the model', () => {
  it('is not there', async () => {
    const folder = temporaryFolder();
    expect(await mistake(folder, 'inspect', path.join(folder, 'vti'))).toMatchInlineSnapshot(`
      "error: There is no file or folder "FOLDER/vti". Check the path; a model on the hub is named like "org/name".
      "
    `);
  });

  it('is misspelled', async () => {
    const folder = temporaryFolder();
    mkdirSync(path.join(folder, 'models/vit'), { recursive: true });
    expect(await mistake(folder, 'inspect', path.join(folder, 'models/vti'))).toMatchInlineSnapshot(`
      "error: There is no file or folder "FOLDER/models/vti". Did you mean "FOLDER/models/vit"? Check the path; a model on the hub is named like "org/name".
      "
    `);
    expect(await mistake(folder, 'inspect', path.join(folder, 'modles/vit'))).toMatchInlineSnapshot(`
      "error: There is no file or folder "FOLDER/modles/vit". Did you mean "FOLDER/models/vit"? Check the path; a model on the hub is named like "org/name".
      "
    `);
  });

  it('lies in a folder inside', async () => {
    const folder = temporaryFolder();
    mkdirSync(path.join(folder, 'vit/onnx'), { recursive: true });
    writeFileSync(path.join(folder, 'vit/onnx/model.onnx'), '');
    expect(await mistake(folder, 'inspect', path.join(folder, 'vit/model.onnx'))).toContain(
      'Did you mean "FOLDER/vit/onnx/model.onnx"?',
    );
  });

  it('is not named', async () => {
    expect(await mistake(temporaryFolder(), 'inspect')).toMatchInlineSnapshot(`
      "error: No model is named. Give a folder, an .onnx file or a hub id, as the first word or with --model.
      "
    `);
  });

  it('is cut off', async () => {
    const folder = temporaryFolder();
    const file = path.join(folder, 'model.onnx');
    writeFileSync(file, readFileSync(path.join(vit, 'onnx/model.onnx')).subarray(0, 1_000_000));
    expect(await mistake(folder, 'inspect', file)).toMatchInlineSnapshot(`
      "error: "FOLDER/model.onnx" is not a readable ONNX model: a field of 2279067 bytes at byte 24, but only 999976 are left: it is truncated or not ONNX. Check that the download is complete and that it is an .onnx file, not a Git LFS pointer.
      "
    `);
  });

  it('is something else', async () => {
    const folder = temporaryFolder();
    const file = path.join(folder, 'model.onnx');
    writeFileSync(file, 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n');
    expect(await mistake(folder, 'train', file, '--data', folder, '--out', path.join(folder, 'run')))
      .toMatchInlineSnapshot(`
      "error: "FOLDER/model.onnx" is not a readable ONNX model: unknown wire type 6 at byte 1. Check that the download is complete and that it is an .onnx file, not a Git LFS pointer.
      "
    `);
  });

  it('has a config.json that is none', async () => {
    const folder = temporaryFolder();
    copyFileSync(path.join(vit, 'onnx/model.onnx'), path.join(folder, 'model.onnx'));
    writeFileSync(path.join(folder, 'config.json'), '{ "model_type": ');
    expect((await mistake(folder, 'inspect', folder)).replace(/JSON: .*\. Download/, 'JSON: …. Download'))
      .toMatchInlineSnapshot(`
      "error: "FOLDER/config.json" is not readable as JSON: …. Download it again.
      "
    `);
  });
});

describe('the data', () => {
  const train = (folder: string, data: string): Promise<string> =>
    mistake(folder, 'train', vit, '--data', data, '--out', path.join(folder, 'run'));

  it('is not named', async () => {
    const folder = temporaryFolder();
    expect(await mistake(folder, 'train', vit, '--out', path.join(folder, 'run'))).toMatchInlineSnapshot(`
      "error: --data is missing: name the data to train on.
      "
    `);
  });

  it('is not there', async () => {
    const folder = temporaryFolder();
    expect(await train(folder, path.join(folder, 'photos'))).toMatchInlineSnapshot(`
      "error: There is no folder "FOLDER/photos". Check the path of the data.
      "
    `);
  });

  it('has an empty class', async () => {
    const folder = temporaryFolder();
    const data = digits(folder);
    mkdirSync(path.join(data, '5'));
    expect(await train(folder, data)).toMatchInlineSnapshot(`
      "error: The class folder "FOLDER/digits/5" has no images: it is empty. Add images, or remove the folder.
      "
    `);
  });

  it('has an image that cannot be read', async () => {
    const folder = temporaryFolder();
    const data = digits(folder);
    const file = path.join(data, '3', '0001.png');
    writeFileSync(file, readFileSync(file).subarray(0, 60));
    // The reason given by libvips differs from run to run.
    expect((await train(folder, data)).replace(/corrupt \(.*\)/, 'corrupt (…)')).toMatchInlineSnapshot(`
      "error: Cannot decode the PNG image "FOLDER/digits/3/0001.png": it is truncated or corrupt (…). Replace the file or take it out of the data.
      "
    `);
  });

  it('has a class that the model does not know', async () => {
    const folder = temporaryFolder();
    const data = digits(folder);
    mkdirSync(path.join(data, 'eight'));
    copyFileSync(path.join(data, '8', '0000.png'), path.join(data, 'eight', '0000.png'));
    expect(await train(folder, data)).toMatchInlineSnapshot(`
      "error: The classes of "FOLDER/digits" are not the classes of "MODEL". The data's classes (3): "3", "8", "eight". The model's classes (10): "0", "1", "2", "3", "4", "5", "6", "7", "8", "9". Not among them: "eight". Rename them after the model's classes; or, to teach it these 3 classes in their place, have it get a new head (head: 'new', --set head=new).
      "
    `);
  });

  it('to predict is not there', async () => {
    const folder = temporaryFolder();
    expect(await mistake(folder, 'predict', vit, path.join(folder, 'cat.jpg'))).toMatchInlineSnapshot(`
      "error: There is no file or folder "FOLDER/cat.jpg". Check the path.
      "
    `);
    expect(await mistake(folder, 'predict', vit)).toMatchInlineSnapshot(`
      "error: No files are named: "MODEL" is taken for the model. Give the files after it.
      "
    `);
    expect(await mistake(folder, 'predict', '--model', vit)).toMatchInlineSnapshot(`
      "error: No files are named. Give them beside --model.
      "
    `);
  });
});

describe('the adapter', () => {
  it('is not there', async () => {
    const folder = temporaryFolder();
    expect(await mistake(folder, 'eval', vit, '--data', digits(folder), '--adapter', path.join(folder, 'run')))
      .toMatchInlineSnapshot(`
      "error: There is no adapter "FOLDER/run". Check the path.
      "
    `);
  });

  it('stands where the model should', async () => {
    const folder = temporaryFolder();
    mkdirSync(path.join(folder, 'run/adapter'), { recursive: true });
    writeFileSync(path.join(folder, 'run/adapter/adapter_config.json'), '{}');
    expect(await mistake(folder, 'inspect', path.join(folder, 'run'))).toMatchInlineSnapshot(`
      "error: "FOLDER/run" is an adapter. Name the model that it was trained on in its place, and the adapter with --adapter.
      "
    `);
  });

  it('is a folder without one', async () => {
    const folder = temporaryFolder();
    expect(await mistake(folder, 'convert', folder, path.join(folder, 'a.onnx_adapter'))).toMatchInlineSnapshot(`
      "error: "FOLDER" holds no adapter_config.json, so it is not an adapter of PEFT or onnx-lora. Name the folder with it and adapter_model.safetensors beside it.
      "
    `);
  });

  it('is a model', async () => {
    const folder = temporaryFolder();
    const out = path.join(folder, 'a.onnx_adapter');
    expect(await mistake(folder, 'convert', vit, out)).toMatchInlineSnapshot(`
      "error: "MODEL" is a model and no adapter: it holds onnx/model.onnx, and no adapter_config.json. A merged model is opened as the model, without the adapter that is in it; else name the adapter's folder.
      "
    `);
    expect(await mistake(folder, 'convert', path.join(vit, 'onnx/model.onnx'), out)).toMatchInlineSnapshot(`
      "error: "MODEL/onnx/model.onnx" is a model and no adapter: it is an .onnx file. A merged model is opened as the model, without the adapter that is in it; else name the adapter's folder.
      "
    `);
  });

  it('is a pickle', async () => {
    const folder = temporaryFolder();
    writeFileSync(path.join(folder, 'adapter_config.json'), '{"peft_type":"LORA"}');
    writeFileSync(path.join(folder, 'adapter_model.bin'), '');
    expect(await mistake(folder, 'merge', vit, '--adapter', folder, '-o', path.join(folder, 'm.onnx')))
      .toMatchInlineSnapshot(`
      "error: "FOLDER" holds its weights as a pickle (adapter_model.bin), which can run code when it is read. Save it again in PEFT with safe_serialization=True.
      "
    `);
  });

  it('belongs to other weights, which can be allowed', async () => {
    const folder = temporaryFolder();
    const data = digits(folder);
    await callJson('train', vit, '--data', data, '--out', path.join(folder, 'run'), '--steps', '1');
    const { config, tensors } = await loadAdapter(path.join(folder, 'run/adapter'));
    await new Adapter(config, tensors, '0'.repeat(64)).save(path.join(folder, 'other'));
    const argv = ['merge', vit, '--adapter', path.join(folder, 'other'), '-o', path.join(folder, 'm.onnx')];
    expect((await mistake(folder, ...argv)).replace(/this model's \w+/, "this model's …")).toMatchInlineSnapshot(`
      "error: The adapter was trained on other weights than those of "MODEL" (their sha256 is 000000000000…, this model's ……). Use the base that it was trained on, or allow the mismatch (allowBaseMismatch, --allow-base-mismatch) if you know that they are the same.
      "
    `);
    expect((await call([...argv, '--allow-base-mismatch'])).code).toBe(0);
  });

  it('belongs to another model', async () => {
    const folder = temporaryFolder();
    await callJson('train', vit, '--data', digits(folder), '--out', path.join(folder, 'run'), '--steps', '1');
    const { config, tensors } = await loadAdapter(path.join(folder, 'run/adapter'));
    const ofBert = (name: string): string => name.replace('vit.encoder.', 'bert.encoder.');
    const renamed = new Map([...tensors].map(([name, tensor]) => [ofBert(name), tensor]));
    const targetModules = (config.targetModules as readonly string[]).map(ofBert);
    await new Adapter({ ...config, targetModules }, renamed).save(path.join(folder, 'other'));
    const argv = ['predict', vit, path.join(folder, 'digits/3/0000.png'), '--adapter', path.join(folder, 'other')];
    expect(await mistake(folder, ...argv)).toMatchInlineSnapshot(`
      "error: None of the adapter's modules is in "MODEL": it adapts "bert.encoder.layer.0.attention.attention.query"…, the model has "vit.encoder.layer.0.attention.attention.query", "vit.encoder.layer.1.attention.attention.query", "vit.encoder.layer.2.attention.attention.query"…. Use the base model that the adapter was trained on.
      "
    `);
  });
});

describe('an adapter for another base is told to be one, whatever its labels and the data are', () => {
  /** An adapter of a protein model: other modules, and a head of one output. */
  const ofProteins = new Adapter(
    { ...config, r: 1, targetModules: ['query'], modulesToSave: ['classifier'] },
    new Map([
      [
        'base_model.model.esm.encoder.layer.0.attention.self.query.lora_A.weight',
        float32(new Float32Array(20), [1, 20]),
      ],
      [
        'base_model.model.esm.encoder.layer.0.attention.self.query.lora_B.weight',
        float32(new Float32Array(20), [20, 1]),
      ],
      ['base_model.model.classifier.out_proj.weight', float32(new Float32Array(20), [1, 20])],
      ['base_model.model.classifier.out_proj.bias', float32(new Float32Array(1), [1])],
    ]),
    '0'.repeat(64),
    { task: 'sequence-regression', labels: ['fitness'] },
  );
  /** An adapter of the ViT itself, with a transposed head. */
  const transposed = new Adapter(
    { ...config, targetModules: [], modulesToSave: ['classifier'] },
    new Map([
      ['base_model.model.classifier.weight', float32(new Float32Array(96 * 2), [96, 2])],
      ['base_model.model.classifier.bias', float32(new Float32Array(2), [2])],
    ]),
    undefined,
    { task: 'image-classification', labels: ['cat', 'dog'] },
  );
  const elsewhere = new Adapter(
    { ...config, targetModules: [], modulesToSave: ['classifier'] },
    new Map([
      ['base_model.model.classifier.weight', float32(new Float32Array(2 * 96), [2, 96])],
      ['base_model.model.classifier.bias', float32(new Float32Array(2), [2])],
    ]),
    '0'.repeat(64),
    { task: 'image-classification', labels: ['cat', 'dog'] },
  );
  it.each([
    [
      'of a protein model',
      ofProteins,
      /^error: None of the adapter's modules is in "MODEL": it adapts "classifier\.out_proj"/,
    ],
    [
      'with its head the wrong way around',
      transposed,
      /^error: classifier\.weight of the adapter has shape \[96, 2\], but "MODEL" needs \[10, 96\]\. It may be transposed/,
    ],
    ['of other weights', elsewhere, /^error: The adapter was trained on other weights than those of "MODEL"/],
  ])('%s', async (_, adapter, message) => {
    const folder = temporaryFolder();
    await adapter.save(path.join(folder, 'other'));
    const named = ['--adapter', path.join(folder, 'other')];
    const nowhere = path.join(folder, 'nowhere');
    expect(await mistake(folder, 'eval', vit, '--data', nowhere, ...named)).toMatch(message);
    expect(await mistake(folder, 'eval', vit, '--data', nowhere, '--task', 'image-classification', ...named)).toMatch(
      message,
    );
    expect(await mistake(folder, 'predict', vit, digits(folder), '--task', 'image-classification', ...named)).toMatch(
      message,
    );
    expect(await mistake(folder, 'merge', vit, '-o', path.join(folder, 'm.onnx'), ...named)).toMatch(message);
  });
});

describe('the feeds', () => {
  it.each([
    ['shape', float32(new Float32Array(3 * 20 * 20), [1, 3, 20, 20])],
    ['type', { type: 'float64', dims: [1, 3, 28, 28], data: new Float64Array(3 * 28 * 28) } as const],
  ])('have the wrong %s', async (_, tensor) => {
    const folder = temporaryFolder();
    const feeds = path.join(folder, 'feeds.safetensors');
    await writeSafetensors(feeds, new Map([['pixel_values', tensor]]));
    const said = await mistake(folder, 'run', vit, '--feeds', feeds, '-o', path.join(folder, 'out.safetensors'));
    expect(said).toMatch(/^error: .*pixel_values/);
  });
});

describe('the output', () => {
  it.each([
    ['run', ['--feeds', 'f']],
    ['preprocess', ['cat.jpg']],
  ])('of %s is a folder', async (command, words) => {
    const folder = temporaryFolder();
    expect(await mistake(folder, command, vit, ...words, '--out', folder)).toContain(
      'error: "FOLDER" is a folder. Name a file, such as FOLDER/out.',
    );
  });

  it('of convert is a file', async () => {
    const folder = temporaryFolder();
    const data = digits(folder);
    await callJson('train', vit, '--data', data, '--out', path.join(folder, 'run'), '--steps', '1');
    const ort = path.join(folder, 'a.onnx_adapter');
    await callJson('convert', path.join(folder, 'run'), ort);
    const taken = path.join(data, '3', '0000.png');
    expect(await mistake(folder, 'convert', ort, taken)).toMatchInlineSnapshot(`
      "error: "FOLDER/digits/3/0000.png" is a file. Name a folder.
      "
    `);
    expect(await mistake(folder, 'convert', taken, ort.replace('.onnx_adapter', ''))).toMatchInlineSnapshot(`
      "error: "FOLDER/digits/3/0000.png" is a file; name the PEFT folder that holds adapter_config.json and adapter_model.safetensors, or a file that ends in .onnx_adapter.
      "
    `);
  });
});

// /proc says of a folder that cannot be made that the one above it is missing.
describe.runIf(process.platform === 'linux')('the output is where no folder can be made', () => {
  const impossible = '/proc/onnx-lora/out';

  it('of whatever writes', async () => {
    const folder = temporaryFolder();
    const data = digits(folder);
    const [first, second] = [path.join(folder, 'a'), path.join(folder, 'b')];
    for (const out of [first, second]) await callJson('train', vit, '--data', data, '--out', out, '--steps', '1');
    const image = path.join(data, '3', '0000.png');
    const feeds = path.join(folder, 'feeds.safetensors');
    await writeSafetensors(feeds, new Map([['pixel_values', float32(new Float32Array(3 * 28 * 28), [1, 3, 28, 28])]]));
    for (const words of [
      ['train', vit, '--data', data, '--steps', '1', '--out', impossible],
      ['compare', first, second, '--out', `${impossible}.html`],
      ['merge', vit, '--adapter', first, '--out', impossible],
      ['merge', vit, '--adapter', first, '--out', `${impossible}.onnx`],
      ['export', vit, '--adapter', first, '--out', `${impossible}.onnx`],
      ['combine', first, second, '--out', impossible],
      ['combine', first, second, '--out', `${impossible}.onnx_adapter`],
      ['convert', first, `${impossible}.onnx_adapter`],
      ['preprocess', vit, image, '--out', `${impossible}.safetensors`],
      ['run', vit, '--feeds', feeds, '--out', `${impossible}.safetensors`],
    ])
      expect(await mistake(folder, ...words)).toMatch(
        /^error: .*"\/proc\/onnx-lora.*ENOENT.* (Name another folder with --out|Check the path, its rights and the free space)\.\n$/,
      );
  });
});

describe('the words', () => {
  it.each([
    ['an unknown command', ['trian', vit]],
    ['help of an unknown command', ['help', 'trian']],
    ['an unknown flag', ['train', vit, '--batchsize', '4']],
    ["a task's setting as a flag", ['train', vit, '--label-column', 'species']],
    ["a task's setting as a flag with a dot", ['train', vit, '--columns.label', 'species']],
    ["a task's setting as a flag, misspelt", ['train', vit, '--lable-column', 'species']],
    ['a flag without its value', ['inspect', vit, '--targets']],
    ['too many words', ['inspect', vit, 'more']],
    ['no output', ['merge', vit, '--adapter', 'a']],
    ['an unknown task', ['eval', vit, '--data', 'd', '--task', 'segmentation']],
  ])('have %s', async (_, argv) => {
    expect(await mistake(temporaryFolder(), ...argv)).toMatchSnapshot();
  });

  it.each([
    ['--learning-rate', '--lr'],
    ['--rank', '--r'],
    ['--target-modules', '--targets'],
    ['--num-train-epochs', '--epochs'],
  ])('have %s, which is %s here', async (elsewhere, here) => {
    const said = await mistake(temporaryFolder(), 'train', vit, elsewhere, '4');
    expect(said).toBe(
      `error: unknown option '${elsewhere}'\n(Here it is ${here}.)\nonnx-lora train --help lists what it takes.\n`,
    );
    const { stderr } = await call(['train', vit, elsewhere, '4', '--json']);
    expect(JSON.parse(stderr)).toMatchObject({
      error: { message: `unknown option '${elsewhere}'\n(Here it is ${here}.)` },
    });
  });

  it('have a name of elsewhere for a flag that the command has not', async () => {
    expect(await mistake(temporaryFolder(), 'merge', vit, '--learning-rate', '4')).not.toContain('Here it is');
  });

  // Neither the model nor the data is there: settings are checked before anything is looked for.
  it.each([
    ['--optimizer', 'adanw', 'Did you mean "adamw"'],
    ['--provider', 'cudda', 'Did you mean "cuda"'],
    ['--init', 'pisssa', 'Did you mean "pissa"'],
    ['--tuner', 'ia4', 'There is no tuner "ia4" (--tuner). Did you mean "ia3"'],
    ['--tuner', '{"name":"ia4"}', 'There is no tuner "ia4" (--tuner). Did you mean "ia3"'],
    ['--schedule', 'cosin', 'Did you mean "cosine"'],
    ['--bias', 'al', 'Did you mean "all"'],
    ['--sampling', 'balance', 'Did you mean "balanced"'],
    ['--on-bad-loss', 'stopp', 'Did you mean "stop"'],
    ['--eval-every', 'epochs', 'Did you mean "epoch"'],
    ['--threads', '1000', 'from 1 to 256'],
    ['--batch-size', '1e12', 'from 1 to 1000000'],
    ['--epochs', '1e300', 'not above 1000000'],
    ['--steps', '1e15', 'from 1 to 1000000000'],
    ['--seed', '4294967296', 'from 0 to 4294967295'],
    ['--prefetch', '1e9', 'from 0 to 1000'],
    ['--layers-to-transform', '0-1e9', 'must be layer numbers'],
    ['--rank-pattern', 'query', 'must be names and numbers'],
    ['--trainable-token-indices', 'x', 'must be token ids'],
    ['--min-delta', '0.1', '--patience'],
  ])('say what %s %s must be, before anything is read', async (flag, value, message) => {
    const { code, stderr } = await call(['train', '/nowhere/model', '--data', '/nowhere/data', flag, value]);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(message) });
    expect(stderr).not.toContain('nowhere');
  });

  it('--metric is checked before anything is measured', async () => {
    const folder = temporaryFolder();
    const data = digits(folder);
    const argv = ['train', vit, '--data', data, '--validation', '0.5', '--metric', 'acuracy', '--out', path.join(folder, 'run')]; // prettier-ignore
    const { code, stderr } = await call(argv);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('Did you mean "accuracy"') });
    expect(stderr).not.toContain('before:');
  });

  it('--help and --version are no mistakes', async () => {
    for (const argv of [['--help'], ['help', 'train'], ['train', '--help'], ['--version']]) {
      expect(await call(argv)).toMatchObject({ code: 0, stderr: '' });
    }
    expect((await call(['train', '--help'])).stdout).toContain('Examples:');
  });
});

it('a bug exits with 1 and says how to see more', async () => {
  const broken = {
    write: (): never => {
      throw new TypeError('boom');
    },
  };
  let stderr = '';
  const { main } = await import('./index.ts');
  const streams = { stdout: broken, stderr: { write: (text: string) => (stderr += text) } };
  expect(await main(['inspect', vit], streams)).toBe(1);
  expect(stderr).toBe(
    'internal error: boom\nThis is a bug in onnx-lora or one of its plugins. Run it again with --debug to see where.\n',
  );
  stderr = '';
  expect(await main(['inspect', vit, '--debug'], streams)).toBe(1);
  expect(stderr).toMatch(/^internal error: boom\nTypeError: boom\n {4}at /);
});

it("what would steer the terminal in a stranger's file is made visible", async () => {
  const folder = temporaryFolder();
  const said = await mistake(folder, 'inspect', `${folder}/\u001B[2Jx`);
  expect(said).toContain('FOLDER/\\x1b[2Jx');
});
