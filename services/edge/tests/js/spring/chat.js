// The server's address is the page's one setting, as it would be for a Spring server.
const server = new URLSearchParams(location.search).get('server');
const transports = new URLSearchParams(location.search).getAll('transport');
const field = (id) => document.getElementById(id);
let client;
let roomId;
let sender;

function send(type, message) {
  client.send('/pub/chat/message', JSON.stringify({ type, roomId, sender, message }));
}

function show({ type, sender: from, message }) {
  const item = document.createElement('li');
  item.dataset.type = type;
  item.textContent = type === 'TALK' ? `${from}: ${message}` : message;
  field('messages').append(item);
}

field('enter').addEventListener('submit', (event) => {
  event.preventDefault();
  roomId = field('room').value;
  sender = field('name').value;
  const socket = new SockJS(`${server}/ws-stomp`, null, transports.length ? { transports } : {});
  client = webstomp.over(socket, { debug: false });
  client.connect({}, () => {
    field('state').textContent = socket.transport;
    field('enter').hidden = true;
    field('say').hidden = false;
    client.subscribe(`/sub/chat/room/${roomId}`, (frame) => show(JSON.parse(frame.body)));
    send('ENTER', `${sender}님이 입장했습니다.`);
  }, () => {
    field('state').textContent = '끊김';
  });
});

field('say').addEventListener('submit', (event) => {
  event.preventDefault();
  send('TALK', field('text').value);
  field('text').value = '';
});

field('quit').addEventListener('click', () => {
  send('QUIT', `${sender}님이 나갔습니다.`);
  client.disconnect(() => {
    field('state').textContent = '닫힘';
  });
});
