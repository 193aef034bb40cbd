/** @file Tests that plugins reach every place that they can bring something to, and that mistakes about them are told. */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadAdapter } from '@onnx-lora/sdk';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { call, callJsonIn, temporaryFolder, vit } from '../../../fixtures/call.ts';

const everything = fileURLToPath(new URL('../../../fixtures/everything.ts', import.meta.url));

afterEach(() => {
  vi.unstubAllEnvs();
});

/** A package in `node_modules` of a folder. */
function install(folder: string, name: string, code: string, facts: object = {}): void {
  const at = path.join(folder, 'node_modules', name);
  mkdirSync(at, { recursive: true });
  writeFileSync(
    path.join(at, 'package.json'),
    JSON.stringify({ name, version: '1.2.3', description: `What ${name} does.`, type: 'module', exports: { import: './index.js' }, keywords: ['onnx-lora-plugin'], ...facts }), // prettier-ignore
  );
  writeFileSync(path.join(at, 'index.js'), code);
}

describe('a run with a plugin', () => {
  it('takes its dataset, first values, optimizer, provider, trackers and sections', async () => {
    const folder = temporaryFolder();
    vi.stubEnv('XDG_CACHE_HOME', path.join(folder, 'cache'));
    const out = path.join(folder, 'run');
    const { code, stderr } = await call([
      'train', vit, '--plugin', everything, '--data', 'turned-digits:3', '--out', out, '--steps', '3', '--batch-size', '10', '--r', '2', '--lr', '1e-3', '--init', 'ones', '--optimizer', 'sign-descent', '--provider', 'here', '--schedule', 'constant', '--track', 'text-file', '--track', 'broken',
    ]); // prettier-ignore
    expect(stderr).toContain('drawing digits');
    expect(stderr).toContain('warning: the tracker "broken" failed and gets no more events:  the service is away');
    expect(stderr).toContain('warning: the report lacks "slip": nothing is not a table');
    expect(code).toBe(0);

    const told = readFileSync(path.join(out, 'steps.txt'), 'utf8').trimEnd().split('\n');
    expect(told).toHaveLength(5);
    expect([told[0], told.at(-1)]).toEqual(['rank 2', 'closed']);
    expect(readFileSync(path.join(out, 'report.html'), 'utf8')).toMatch(/Facts of a plugin[\s\S]*losses of image-classification<\/td>\s*<td[^>]*>3</); // prettier-ignore

    const { tensors } = await loadAdapter(path.join(out, 'adapter'));
    for (const [name, { data }] of tensors) {
      const steps = new Set(Array.from(data as Float32Array, (value) => Math.round(value * 1e6)));
      // Each number was moved by the learning rate, up or down, three times; B starts at 0, and A at 1 with no gradient in the first step.
      const start = name.includes('lora_A') ? 1_000_000 : 0;
      const possible = [-3000, -2000, -1000, 0, 1000, 2000, 3000].map((each) => start + each);
      expect([...steps].filter((each) => !possible.some((other) => Math.abs(other - each) <= 1))).toEqual([]);
    }

    // The file of settings says all that a second run needs.
    const config = parse(readFileSync(path.join(out, 'config.yaml'), 'utf8')) as Record<string, unknown>;
    expect(config).toMatchObject({ plugins: [everything], data: 'turned-digits:3', track: ['text-file', 'broken'] });
    const again = path.join(folder, 'again');
    const { code: second, stderr: quiet } = await call(['train', '--config', path.join(out, 'config.yaml'), '--out', again]); // prettier-ignore
    expect([second, quiet.includes('drawing')]).toEqual([0, false]);
    expect((await loadAdapter(path.join(again, 'adapter'))).tensors).toEqual(tensors);

    // Going on finds them too; nothing is left to do.
    const resumed = await call(['train', '--resume', again]);
    expect([resumed.code, resumed.stderr.includes('continuing after step 3')]).toEqual([0, true]);
    expect(readFileSync(path.join(again, 'steps.txt'), 'utf8').match(/closed/g)).toHaveLength(2);
  });

  it('finds plugins of a YAML file beside the file', async () => {
    const folder = temporaryFolder();
    const file = path.join(folder, 'settings.yaml');
    writeFileSync(path.join(folder, 'mine.mjs'), `export * from ${JSON.stringify(everything)};`);
    writeFileSync(file, 'plugins: [./mine.mjs]\ntrack: [text-fil]\ndata: x\n');
    const { code, stderr } = await call(['train', vit, '--config', file]);
    expect(code).toBe(2);
    expect(stderr).toContain('There is no tracker "text-fil". Did you mean "text-file"? Trackers are tensorboard, text-file, broken; plugins bring more (--plugin).'); // prettier-ignore
  });
});

describe('plugins', () => {
  it('lists what is loaded and what is installed, and loads nothing unasked', async () => {
    const folder = temporaryFolder();
    install(folder, 'onnx-lora-cells', 'throw new Error("loaded unasked")');
    install(folder, '@acme/other', '', { keywords: ['something'] });
    const { loaded, installed } = (await callJsonIn(folder, 'plugins', '--plugin', everything)) as Record<string, Record<string, unknown>[]>; // prettier-ignore
    expect(loaded!.map(({ name, own }) => [name, own])).toEqual([
      ['everything', false],
      ['@onnx-lora/vision', true],
      ['@onnx-lora/diffusion', true],
      ['@onnx-lora/speech', true],
      ['@onnx-lora/science', true],
      ['@onnx-lora/text', true],
      ['@onnx-lora/methods', true],
      ['@onnx-lora/build', true],
    ]);
    expect(loaded![0]).toMatchObject({ trackers: ['text-file', 'broken'], providers: ['here'] });
    expect(installed).toEqual([{ name: 'onnx-lora-cells', version: '1.2.3', description: 'What onnx-lora-cells does.' }]); // prettier-ignore
    const { stdout } = await call(['plugins'], { folder });
    expect(stdout).toMatch(/Installed, not loaded[^\n]*\n {2}onnx-lora-cells +1\.2\.3 +What onnx-lora-cells does\./);
  });

  it('shows what would steer the terminal, and passes over what cannot be read', async () => {
    const folder = temporaryFolder();
    const inner = path.join(folder, 'inner');
    mkdirSync(inner);
    writeFileSync(path.join(inner, 'node_modules'), 'a file');
    install(folder, 'onnx-lora-cells', '', { description: 'Cells.\u001B[2J' });
    const { code, stdout } = await call(['plugins'], { folder: inner });
    expect(code).toBe(0);
    expect(stdout).toContain('Cells.\\x1b[2J');
  });

  it('finds an installed package where the command is called, wherever the settings lie', async () => {
    const [folder, elsewhere] = [temporaryFolder(), temporaryFolder()];
    install(folder, 'onnx-lora-mine', `export default { name: 'onnx-lora-mine', contract: 2, bindings: [], needs: {}, parts: { trackers: () => [{ name: 'mine', description: '', create: () => {} }] } };`); // prettier-ignore
    const file = path.join(elsewhere, 'config.yaml');
    writeFileSync(file, 'plugins: [onnx-lora-mine]\ntrack: [none]\ndata: x\n');
    const { stderr } = await call(['train', vit, '--config', file], { folder });
    expect(stderr).toContain('Trackers are tensorboard, mine;');
  });

  it('loads a compiled CommonJS package, whose plugin is called otherwise', async () => {
    const folder = temporaryFolder();
    const code = `exports.__esModule = true; exports.default = { name: 'mine', contract: 2, bindings: [], needs: {}, parts: {} };`;
    install(folder, 'onnx-lora-cjs', code, { type: 'commonjs', exports: './index.js' });
    const listed = await callJsonIn(folder, 'plugins', '--plugin', 'onnx-lora-cjs');
    expect(listed).toMatchObject({ loaded: [{ name: 'mine' }, {}, {}, {}, {}, {}, {}, {}], installed: [] });
  });

  it('loads an installed package by its name, its families before the own ones', async () => {
    const folder = temporaryFolder();
    install(folder, 'onnx-lora-mine', `export default { name: 'onnx-lora-mine', contract: 2, bindings: [], needs: {}, parts: { families: () => [{ name: 'mine', domain: 'd', matches: () => true, roles: { q: [/.*query/] }, defaultTargets: ['q'], tasks: [] }] } };`); // prettier-ignore
    const { family } = (await callJsonIn(folder, 'inspect', vit, '--plugin', 'onnx-lora-mine')) as { family: unknown };
    expect(JSON.stringify(family)).toContain('mine');
  });

  it('lists the modules of a model of which a family adapts nothing', async () => {
    const folder = temporaryFolder();
    install(folder, 'onnx-lora-mine', `export default { name: 'onnx-lora-mine', contract: 2, bindings: [], needs: {}, parts: { families: () => [{ name: 'mine', domain: 'd', matches: () => true, roles: { q: [/no/] }, defaultTargets: ['q'], tasks: [] }] } };`); // prettier-ignore
    const { code, stdout } = await call(['inspect', vit, '--plugin', 'onnx-lora-mine'], { folder });
    expect(code).toBe(0);
    expect(stdout).toContain('vit.encoder.layer.0.attention.attention.query');
    expect(stdout).toContain('The usual targets of mine are not in this model. Name modules to adapt with --targets');
  });

  it.each([
    ['a package that is not there', ['--plugin', 'onnx-lora-cell'], 'The plugin "onnx-lora-cell" is not installed in "FOLDER". Did you mean "onnx-lora-cells"? Plugins that are: onnx-lora-cells. Install it there, or give the path of its .js file.'], // prettier-ignore
    ['a package that fails', ['--plugin', 'onnx-lora-cells'], 'The plugin "onnx-lora-cells" cannot be loaded: it broke. Mend it, or install it again.'], // prettier-ignore
    ['a package that fails, of a name that ends as TypeScript does', ['--plugin', 'charts'], 'The plugin "charts" cannot be loaded: it broke. Mend it, or install it again.'], // prettier-ignore
    ['code in the place of a name', ['--plugin', 'data:text/javascript,process.exit(3)'], '"data:text/javascript,process.exit(3)" is no plugin: it must be the name of an installed package, or the path of a .js file.'], // prettier-ignore
    ['a folder', ['--plugin', './node_modules'], 'The plugin "FOLDER/node_modules" is a folder. Name the .js file in it.'], // prettier-ignore
    ['a path that is not there', ['--plugin', './no.js'], 'There is no plugin "FOLDER/no.js". Check the path.'],
    ['a file that exports none', ['--plugin', './plain.mjs'], '"FOLDER/plain.mjs" exports no plugin. One of its exports must be what definePlugin gives; it exports answer.'], // prettier-ignore
    ['a file that exports something else', ['--plugin', './other.mjs'], '"FOLDER/other.mjs" exports no plugin. One of its exports must be what definePlugin gives; it exports default.'], // prettier-ignore
  ])('tells of %s', async (_, flags, message) => {
    const folder = temporaryFolder();
    install(folder, 'onnx-lora-cells', 'throw new Error("it broke.")');
    install(folder, 'charts', 'throw new Error("it broke.")', { keywords: [] });
    writeFileSync(path.join(folder, 'plain.mjs'), 'export const answer = 42;');
    writeFileSync(path.join(folder, 'other.mjs'), 'export default { answer: 42 };');
    const { code, stderr } = await call(['tasks', ...flags], { folder });
    expect(stderr.split('\n')[0]).toBe(`error: ${message.replaceAll('FOLDER', folder)}`);
    expect(code).toBe(2);
  });

  it('says where names are that an older plugin imports', async () => {
    const folder = temporaryFolder();
    // Node's message for `import { definePlugin } from '@onnx-lora/sdk'`.
    const missing = `The requested module '@onnx-lora/sdk' does not provide an export named 'definePlugin'`;
    install(folder, 'onnx-lora-old', `throw new SyntaxError(${JSON.stringify(missing)})`);
    const { code, stderr } = await call(['tasks', '--plugin', 'onnx-lora-old'], { folder });
    expect(stderr).toContain(
      `${missing}. It is for another version of the SDK; in this one the name may be in @onnx-lora/sdk/plugin`,
    );
    expect(code).toBe(2);
  });

  it('tells of a package that is not built', async () => {
    const folder = temporaryFolder();
    install(folder, 'onnx-lora-mine', '', { exports: './dist/index.js' });
    const { code, stderr } = await call(['tasks', '--plugin', 'onnx-lora-mine'], { folder });
    expect(stderr).toMatch(/"onnx-lora-mine" cannot be loaded: .*Build it \(npm run build\) where it is your own/);
    expect(code).toBe(2);
  });
});
