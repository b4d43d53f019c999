# Every word has its colours: five of them, the same each time.  A plain Rack
# application; Google has no SDK for Ruby.
require 'digest'
require 'erb'
require 'rack'

PAGE = ERB.new(File.read(File.join(__dir__, 'page.erb')), trim_mode: '-')

# One hue from the word, the others around it.
def colours(word)
  bytes = Digest::SHA256.digest(word.downcase).bytes
  hue = (bytes[0] * 256 + bytes[1]) % 360
  (0...5).map do |i|
    format('hsl(%d %d%% %d%%)', (hue + i * (15 + bytes[2] % 30)) % 360,
           45 + bytes[3 + i] % 40, 30 + i * 12)
  end
end

app = lambda do |env|
  request = Rack::Request.new(env)
  next [404, { 'content-type' => 'text/plain' }, ["There is no such page.\n"]] unless request.path == '/'

  word = request.params['word'].to_s.strip[0, 40]
  word = 'sea' if word.empty?
  body = PAGE.result_with_hash(word: word, colours: colours(word))
  [200, { 'content-type' => 'text/html; charset=utf-8' }, [body]]
end

run app
