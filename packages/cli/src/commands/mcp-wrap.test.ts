import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nameFor } from './mcp-wrap.ts'

for (const { command, name } of [
  { command: 'npx -y @modelcontextprotocol/server-filesystem /srv/files', name: 'filesystem' },
  { command: 'npx -y @modelcontextprotocol/server-filesystem@2026.8.31 /srv/files', name: 'filesystem' },
  { command: 'uvx mcp-server-git --repository /srv', name: 'git' },
  { command: 'node ./build/weather.mjs', name: 'weather' },
  { command: '/opt/bin/github-mcp-server stdio', name: 'github' },
  { command: 'pnpm dlx notes-mcp', name: 'notes' },
  { command: './my server', name: 'my' },
]) {
  test(`\`${command}\` is governed as \`${name}\` unless another name is said`, () => {
    assert.equal(nameFor(command.split(' ')), name)
  })
}

test('a command of which no name can be made asks for one', () => {
  assert.throws(() => nameFor(['npx', '-y']), /no name can be made of this command/)
})
