/** @file The files of a new plugin: filled in, and type-checked against the SDK's sources. */

import path from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, test } from 'vitest';
import { completeAnswers, kinds } from './answers.ts';
import { filesOf } from './template.ts';

/** Signs that mean something in JSON, TypeScript, YAML or a pattern of replacement. */
const description = String.raw`It's "all" of \n and $& <b>: # yes`;
const given = { name: '@acme/onnx-lora-cells', family: 'cell-net', task: 'cell-counting', description };

test.each(kinds)('%s: no placeholder is left, and no name that npm would not pack', (kind) => {
  const files = filesOf(completeAnswers({ ...given, kind }, 'cells'));
  expect([...files].filter(([, text]) => text.replaceAll('${{ matrix.node }}', '').includes('{{'))).toEqual([]);
  expect([...files.keys()].filter((name) => name.startsWith('_'))).toEqual([]);
  expect([...files.keys()]).toEqual(
    expect.arrayContaining(['.gitignore', '.npmrc', '.github/workflows/ci.yml', 'LICENSE', 'src/index.ts']),
  );
});

test('the manifest says what was answered', () => {
  const files = filesOf(completeAnswers(given, 'cells'));
  expect(JSON.parse(files.get('package.json')!)).toMatchObject({
    name: '@acme/onnx-lora-cells',
    description,
    keywords: expect.arrayContaining(['onnx-lora-plugin']) as unknown,
    license: 'Apache-2.0',
    peerDependencies: { '@onnx-lora/sdk': expect.stringMatching(/^\^\d+\.\d+\.\d+/) as unknown },
  });
});

test('the licence is the one that was chosen', () => {
  const licensed = (license: string): Map<string, string> => filesOf(completeAnswers({ license }, 'cells'));
  const mit = licensed('MIT');
  expect(mit.get('LICENSE')).toContain(`Copyright (c) ${new Date().getFullYear()} The authors of cells`);
  expect(JSON.parse(mit.get('package.json')!)).not.toHaveProperty('private');
  const none = licensed('UNLICENSED');
  expect(none.has('LICENSE')).toBe(false);
  expect(JSON.parse(none.get('package.json')!)).toMatchObject({ private: true, license: 'UNLICENSED' });
});

test('kinds have the same files, and only the words of their own', () => {
  const [numbers, labels] = kinds.map((kind) => filesOf(completeAnswers({ ...given, kind }, 'cells')));
  expect([...labels!.keys()].sort()).toEqual([...numbers!.keys()].sort());
  expect([...labels!.keys()].filter((name) => name.includes('classification'))).toEqual([]);
  const differing = [...labels!].filter(([name, text]) => text !== numbers!.get(name)).map(([name]) => name);
  expect(differing.sort()).toEqual([
    'README.md',
    'src/example/files.ts',
    'src/index.ts',
    'src/samples.ts',
    'src/task.ts',
    'test/plugin.test.ts',
  ]);
  expect([...numbers!.values()].filter((text) => /classif/i.test(text))).toEqual([]);
  expect([...labels!.values()].filter((text) => /regression/i.test(text) || text.includes('.classification.'))).toEqual(
    [],
  );
  expect(numbers!.get('README.md')).toContain("task: regression('example/samples.csv')");
  expect(labels!.get('README.md')).toContain('`path`, from its own folder, and `label`.');
});

test.each(kinds)(
  '%s: the code compiles, with what was answered in it',
  (kind) => {
    const root = fileURLToPath(new URL('..', import.meta.url));
    // In memory, in place of the template, from where the packages are found.
    const folder = path.join(root, 'template');
    const files = new Map(
      [...filesOf(completeAnswers({ ...given, kind }, 'cells'))].map(([name, text]) => [path.join(folder, name), text]),
    );
    const { config } = ts.parseConfigFileTextToJson(
      'tsconfig.json',
      files.get(path.join(folder, 'tsconfig.json'))!,
    ) as {
      config: unknown;
    };
    const source = (name: string): string => path.join(root, '..', `${name}.ts`);
    const options: ts.CompilerOptions = {
      ...ts.parseJsonConfigFileContent(config, ts.sys, root).options,
      paths: { '@onnx-lora/*': [source('*/src/index')], '@onnx-lora/sdk/*': [source('sdk/src/*')] },
    };
    const host = ts.createCompilerHost(options);
    const [fileExists, readFile] = [host.fileExists.bind(host), host.readFile.bind(host)];
    host.fileExists = (file) => files.has(file) || fileExists(file);
    host.readFile = (file) => files.get(file) ?? readFile(file);
    const own = [...files.keys()].filter((file) => file.endsWith('.ts'));
    const program = ts.createProgram(own, options, host);
    const problems = own.flatMap((file) => {
      const source = program.getSourceFile(file)!;
      return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(
        ({ messageText }) => `${path.relative(folder, file)}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`,
      );
    });
    expect(problems).toEqual([]);
    const index = program.getSourceFile(path.join(folder, 'src/index.ts'))!;
    expect(stringsIn(index)).toEqual(expect.arrayContaining(['@acme/onnx-lora-cells', description]));
    expect(stringsIn(program.getSourceFile(path.join(folder, 'src/family.ts'))!)).toContain('cell-net');
  },
  120_000,
);

function stringsIn(node: ts.Node): string[] {
  const own = ts.isStringLiteral(node) ? [node.text] : [];
  ts.forEachChild(node, (child) => void own.push(...stringsIn(child)));
  return own;
}
