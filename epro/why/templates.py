"""The sentences that answer 'why', by code, in every language that we speak. Pure."""

from __future__ import annotations

SENTENCES: dict[str, dict[str, str]] = {
    # What was asked.
    "question.participant": {
        "en": "What is due, open, missed or standing for {subject_id}, and why?",
        "zh-CN": "{subject_id} 有哪些到期、开放、未收到或待处理的事项，原因是什么？",
    },
    "question.occurrence": {
        "en": "Why is {assessment} of {local_day} as it is?",
        "zh-CN": "{local_day} 的“{assessment}”为何是现在这样？",
    },
    "question.reminder": {
        "en": "Why was this message planned, and what became of it?",
        "zh-CN": "这条消息为何被安排，结果如何？",
    },
    "question.alert": {
        "en": "Why was this alert raised, and what became of it?",
        "zh-CN": "为何产生这条警报，结果如何？",
    },
    "question.response": {
        "en": "What became of this upload, and why are its scores as they are?",
        "zh-CN": "这次上传的结果如何，得分为何如此？",
    },
    # Why it is due on that day.
    "due.visit": {
        "en": "The study asks for {assessment} at {visit}: on day {study_day} after {anchor} of {anchor_day}, up to"
        " {before} day(s) before and {after} after.",
        "zh-CN": "研究要求在“{visit}”填写“{assessment}”：{anchor}（{anchor_day}）后第 {study_day} 天，"
        "可提前 {before} 天，可推迟 {after} 天。",
    },
    "due.daily": {
        "en": "The study asks for {assessment} every day from day {first} to day {last} after {anchor};"
        " {local_day} is day {study_day} after {anchor_day}.",
        "zh-CN": "研究要求从{anchor}后第 {first} 天至第 {last} 天，每天填写“{assessment}”；"
        "{local_day} 是 {anchor_day} 后的第 {study_day} 天。",
    },
    "due.every": {
        "en": "The study asks for {assessment} every {days} days, from day {first} to day {last} after {anchor};"
        " {local_day} is day {study_day} after {anchor_day}.",
        "zh-CN": "研究要求从{anchor}后第 {first} 天至第 {last} 天，每 {days} 天填写一次“{assessment}”；"
        "{local_day} 是 {anchor_day} 后的第 {study_day} 天。",
    },
    "due.calendar": {
        "en": "The study asks for {assessment} on these days: {days}, from day {first} to day {last} after {anchor};"
        " {local_day} is day {study_day} after {anchor_day}.",
        "zh-CN": "研究要求从{anchor}后第 {first} 天至第 {last} 天，在以下日子填写“{assessment}”：{days}；{local_day}"
        " 是 {anchor_day} 后的第 {study_day} 天。",
    },
    "due.burst": {
        "en": "The study asks for {assessment} daily on {days} days at each visit; {local_day} is day {study_day}"
        " after {anchor}.",
        "zh-CN": "研究要求在每次访视前后连续 {days} 天每日填写“{assessment}”；{local_day} 是{anchor}后的第 "
        "{study_day} 天。",
    },
    "due.instead": {
        "en": "The study asks for {assessment} instead, because {missed} was missed.",
        "zh-CN": "因未收到“{missed}”，研究要求改填“{assessment}”。",
    },
    "due.unscheduled": {
        "en": "{assessment} may be answered at any time: the participant asked for it on {local_day}.",
        "zh-CN": "“{assessment}”可随时填写：受试者于 {local_day} 自行填写。",
    },
    "due.condition": {
        "en": "It is asked of these only: {those}.",
        "zh-CN": "仅适用于：{those}。",
    },
    "due.after": {
        "en": "It is asked once {first} has been answered.",
        "zh-CN": "须先完成“{first}”。",
    },
    "due.planned": {
        "en": "It was planned by version {version} of the study, {cause}.",
        "zh-CN": "{cause}，按研究方案第 {version} 版安排。",
    },
    "due.again": {
        "en": "It is asked for again: the earlier one had opened or was settled on another day, and stays as it is.",
        "zh-CN": "这是再次安排：之前的一次已在另一天开放或已有结果，保持不变。",
    },
    "due.window": {
        "en": "An answer counts from {opens_at} to {closes_at} by the clock of {zone}; one given in time may arrive"
        " until {grace_until}.",
        "zh-CN": "按 {zone} 时间，{opens_at} 至 {closes_at} 之间的回答有效；按时完成的回答最迟可于 {grace_until} 送达"
        "。",
    },
    "anchor.set": {
        "en": "{day} was set as the day of {anchor} by {who}.{reason}",
        "zh-CN": "{who}将{anchor}日期定为 {day}。{reason}",
    },
    "anchor.moved": {
        "en": "The day of {anchor} was moved from {before} to {day} by {who}.{reason}",
        "zh-CN": "{who}将{anchor}日期由 {before} 改为 {day}。{reason}",
    },
    "anchor.answered": {
        "en": "{day} became the day of {anchor}: that of the first answer to {assessment}.",
        "zh-CN": "{day} 成为{anchor}日期：即首次回答“{assessment}”之日。",
    },
    "anchor.taken_back": {
        "en": "The day of {anchor} ({day}) was taken back: the answer that set it was corrected by {who}.",
        "zh-CN": "{anchor}日期（{day}）已收回：设定该日期的回答已由{who}更正。",
    },
    "anchor.followed": {
        "en": "The day of {anchor} was moved from {before} to {day}: the answer that set it was corrected by {who}.",
        "zh-CN": "{anchor}日期由 {before} 改为 {day}：设定该日期的回答已由{who}更正。",
    },
    "anchor.counted": {
        "en": "The day of {anchor} is day {days} after {base}.",
        "zh-CN": "{anchor}日期为{base}后第 {days} 天。",
    },
    "zone.first": {
        "en": "The participant's clock was that of {zone} at the enrolment.",
        "zh-CN": "入组时受试者所在时区为 {zone}。",
    },
    "zone.changed": {
        "en": "From {since} on the participant's clock was that of {zone}.",
        "zh-CN": "自 {since} 起，受试者所在时区为 {zone}。",
    },
    "zone.home": {
        "en": "The study keeps to the first time zone wherever the participant travels.",
        "zh-CN": "无论受试者前往何处，本研究始终采用最初的时区。",
    },
    "clock.skipped": {
        "en": "{wall} did not exist in {zone}, because the clocks were put forward: the window {edge} at the end of"
        " the gap, at {then}.",
        "zh-CN": "因时钟拨快，{zone} 当地没有 {wall} 这一时刻：填写时段在跳过的时间结束时（{then}）{edge}。",
    },
    "clock.twice": {
        "en": "{wall} came twice in {zone}, because the clocks were put back: the window {edge} at the first of the"
        " two.",
        "zh-CN": "因时钟拨慢，{zone} 当地 {wall} 出现两次：填写时段在第一次时{edge}。",
    },
    "clock.arrived": {
        "en": "When the clock was set to {zone} it was past {wall} already: the window opened at that moment.",
        "zh-CN": "时区改为 {zone} 时已过 {wall}：填写时段在那一刻开放。",
    },
    "clock.followed": {
        "en": "The window before was still open at {wall}, because the participant had travelled: this one opens"
        " when that one closes.",
        "zh-CN": "因受试者旅行，到 {wall} 时前一时段尚未关闭：本时段在前一时段关闭时开放。",
    },
    "clock.kept_open": {
        "en": "The change of clock left too little of the window: it is kept open until {closes_at}.",
        "zh-CN": "时钟变化使填写时段过短：延长开放至 {closes_at}。",
    },
    "plan.moved": {
        "en": "It was moved from {from_opens} - {from_closes} to {opens_at} - {closes_at} {cause}, by {who}.{reason}",
        "zh-CN": "{cause}，{who}将其由 {from_opens} - {from_closes} 移至 {opens_at} - {closes_at}。{reason}",
    },
    "plan.asked_again": {
        "en": "It had been cancelled, and was asked for again {cause}, by {who}: {opens_at} - {closes_at}.{reason}",
        "zh-CN": "此前已取消；{cause}，{who}重新安排：{opens_at} - {closes_at}。{reason}",
    },
    "plan.renewed": {
        "en": "From then on version {version} of the study asks for it.{reason}",
        "zh-CN": "此后按研究方案第 {version} 版要求填写。{reason}",
    },
    "plan.opened_late": {
        "en": "Its window was over when it was planned: it was opened late instead, at {opens_at}.",
        "zh-CN": "安排时其填写时段已过：改为推迟至 {opens_at} 开放。",
    },
    "plan.cancelled": {
        "en": "It was cancelled {cause}, by {who}.{reason}",
        "zh-CN": "{cause}，{who}将其取消。{reason}",
    },
    "alert.none_as_excused": {
        "en": "No alert was raised: it was excused when it closed, and could not be answered.",
        "zh-CN": "未发出警报：其填写时段关闭时处于免填状态，无法填写。",
    },
    "still.upcoming": {"en": "The window has not opened yet.", "zh-CN": "填写时段尚未开放。"},
    "still.open": {
        "en": "The window is open and no answer has been received yet.",
        "zh-CN": "填写时段正在开放，尚未收到回答。",
    },
    "still.waiting": {
        "en": "The window has closed; an answer given in time may still be on the phone.",
        "zh-CN": "填写时段已关闭；按时完成的回答可能仍在手机上。",
    },
    # What came of it.
    "occurrence.at_risk": {
        "en": "The window was about to close at {closes_at} and no answer had been received: the site could still"
        " save it.",
        "zh-CN": "填写时段将于 {closes_at} 关闭而尚未收到回答：研究中心仍可补救。",
    },
    "occurrence.missed": {
        "en": "It was noted as missed: window and sync grace were over at {grace_until} and no answer had been"
        " received.",
        "zh-CN": "记为未收到：填写时段及同步宽限期已于 {grace_until} 结束，仍未收到回答。",
    },
    "occurrence.excused": {
        "en": "It was excused by {who}: {code}. It need not be answered.{reason}",
        "zh-CN": "{who}已将其设为免填：{code}，无需填写。{reason}",
    },
    "occurrence.unexcused": {
        "en": "The excuse ({code}) was taken back by {who}.{reason}",
        "zh-CN": "{who}收回了免填（{code}）。{reason}",
    },
    "occurrence.lapsed": {
        "en": "The participant had asked for it and did not answer it: it lapsed, and counts as no miss.",
        "zh-CN": "受试者自行要求但未回答：已失效，不计为未收到。",
    },
    "occurrence.answered": {
        "en": "An answer was received; it had been completed at {completed_at}.",
        "zh-CN": "已收到回答，完成时间为 {completed_at}。",
    },
    "occurrence.answered_late": {
        "en": "An answer was received after all: it had been completed in time, at {completed_at}, and arrived late.",
        "zh-CN": "最终收到回答：于 {completed_at} 按时完成，但送达较晚。",
    },
    "reminder.stale": {
        "en": "Reminder {number} was passed over: its moment was more than two hours past.",
        "zh-CN": "第 {number} 次提醒未发送：已超过应发时间两小时以上。",
    },
    "reminder.window_closed": {
        "en": "Reminder {number} was passed over: the window had closed.",
        "zh-CN": "第 {number} 次提醒未发送：填写时段已关闭。",
    },
    "reminder.outside_window": {
        "en": "Reminder {number} was passed over: the window is too short for it.",
        "zh-CN": "第 {number} 次提醒未发送：填写时段过短。",
    },
    "reminder.replaced": {
        "en": "Reminder {number} was passed over: another one goes out in its place.",
        "zh-CN": "第 {number} 次提醒未发送：由另一次提醒代替。",
    },
    "reminder.snoozed": {
        "en": "Reminder {number} was passed over: the participant had put reminders off.",
        "zh-CN": "第 {number} 次提醒未发送：受试者已选择稍后提醒。",
    },
    "occurrence.snoozed": {
        "en": "The participant put reminders off until {until}.",
        "zh-CN": "受试者选择在 {until} 再提醒。",
    },
    "snooze.dropped": {
        "en": "The reminder that was to come at the end of the snooze was passed over: it would have come too late.",
        "zh-CN": "稍后提醒未发送：时间已晚。",
    },
    # Messages.
    "message.after_snooze": {
        "en": "The participant had put reminders of {assessment} of {local_day} off; that was over and no answer had"
        " been received.",
        "zh-CN": "受试者曾将 {local_day} 的“{assessment}”设为稍后提醒；到时尚未收到回答。",
    },
    "message.reminder": {
        "en": "The study asks for {count} reminders of {assessment} of {local_day}; number {number} was due and no"
        " answer had been received.",
        "zh-CN": "研究要求对 {local_day} 的“{assessment}”提醒 {count} 次；第 {number} 次到时，尚未收到回答。",
    },
    "message.wished": {
        "en": "{hour} is the hour at which the participant wishes to be reminded.",
        "zh-CN": "{hour} 是受试者希望收到提醒的时间。",
    },
    "message.alert": {
        "en": "The study has this role told of the alert: {role}. A message was planned.",
        "zh-CN": "研究要求将警报通知{role}：已安排消息。",
    },
    "message.escalation": {
        "en": "Nobody had taken the alert in hand, so this role is told: {role}. A message was planned.",
        "zh-CN": "无人处理该警报，因此通知{role}：已安排消息。",
    },
    "message.handed_over": {
        "en": "The alert was handed over: a message to its new owner was planned.",
        "zh-CN": "警报已移交：已安排消息通知新的负责人。",
    },
    "message.digest": {
        "en": "The study has this role told once a day how many alerts stand: {role}. A message was planned.",
        "zh-CN": "研究要求每天向{role}通报待处理警报的数量：已安排消息。",
    },
    "message.signature": {
        "en": "Something was changed under a signature, so its signer is told: {role}. A message was planned.",
        "zh-CN": "已签名的内容被更改，因此通知签名人（{role}）：已安排消息。",
    },
    "message.difference": {
        "en": "The trial database was not as the feed has it, so this role is told: {role}. A message was planned.",
        "zh-CN": "试验数据库与数据流不一致，因此通知{role}：已安排消息。",
    },
    "message.waiting": {
        "en": "It waits to be sent, from {due_at} on.",
        "zh-CN": "等待发送，不早于 {due_at}。",
    },
    "message.begun": {
        "en": "Attempt {attempt} began, by {channel}.",
        "zh-CN": "开始第 {attempt} 次发送，渠道：{channel}。",
    },
    "message.accepted": {
        "en": "The provider took it.",
        "zh-CN": "服务商已接收。",
    },
    "message.refused": {
        "en": "The provider refused it ({refusal}); it is not tried again.",
        "zh-CN": "服务商拒收（{refusal}）；不再重试。",
    },
    "message.tried_again": {
        "en": "The provider refused it ({refusal}); it is tried again.",
        "zh-CN": "服务商拒收（{refusal}）；将再次尝试。",
    },
    "message.doubtful": {
        "en": "Nobody can say whether the provider took it ({refusal}).",
        "zh-CN": "无法确定服务商是否已接收（{refusal}）。",
    },
    "message.unknown": {
        "en": "Its fate stays unknown ({refusal}); a reminder in doubt is not sent twice.",
        "zh-CN": "结果不明（{refusal}）；有疑问的提醒不会重复发送。",
    },
    "message.undelivered": {
        "en": "The carrier did not deliver it ({refusal}).",
        "zh-CN": "运营商未能送达（{refusal}）。",
    },
    "message.failed": {
        "en": "No channel is left that could carry it ({refusal}).",
        "zh-CN": "已没有可用的发送渠道（{refusal}）。",
    },
    "message.delivered": {"en": "It was delivered.", "zh-CN": "已送达。"},
    "message.shown": {"en": "The phone has shown it.", "zh-CN": "手机已显示。"},
    "message.opened": {"en": "The participant opened it.", "zh-CN": "受试者已打开。"},
    "withheld.snoozed": {
        "en": "It was withheld: the participant had put reminders off.",
        "zh-CN": "未发送：受试者已选择稍后提醒。",
    },
    "withheld.stale": {
        "en": "It was withheld: it came too late to be of use.",
        "zh-CN": "未发送：时间已晚，发送已无意义。",
    },
    "withheld.withdrawn": {
        "en": "It was withheld: the participant had left the study.",
        "zh-CN": "未发送：受试者已退出研究。",
    },
    "withheld.restricted": {
        "en": "It was withheld: the participant has asked that data on her be held still.",
        "zh-CN": "未发送：受试者要求限制处理其数据。",
    },
    "withheld.opted_out": {
        "en": "It was withheld: the participant wants no messages.",
        "zh-CN": "未发送：受试者不希望收到消息。",
    },
    "withheld.answered": {
        "en": "It was withheld: the answer had been received.",
        "zh-CN": "未发送：已收到回答。",
    },
    "withheld.cancelled": {
        "en": "It was withheld: it was not asked for any more.",
        "zh-CN": "未发送：已不再要求填写。",
    },
    "withheld.excused": {
        "en": "It was withheld: the site had excused the participant from it.",
        "zh-CN": "未发送：研究中心已免除受试者填写。",
    },
    "withheld.window_closed": {
        "en": "It was withheld: the window had closed.",
        "zh-CN": "未发送：填写时段已关闭。",
    },
    "withheld.quiet_hours": {
        "en": "It was withheld: it was within {whose}.",
        "zh-CN": "未发送：处于{whose}。",
    },
    "withheld.told_together": {
        "en": "It was withheld: another reminder had just told of all that is due.",
        "zh-CN": "未发送：另一条提醒刚刚已告知所有待填内容。",
    },
    "withheld.cap_reached": {
        "en": "It was withheld: as many reminders as a day may hold had gone out.",
        "zh-CN": "未发送：当日提醒次数已达上限。",
    },
    "withheld.no_channel": {
        "en": "It was withheld: there is no channel by which the recipient can be reached.",
        "zh-CN": "未发送：没有可以联系到收件人的渠道。",
    },
    "withheld.cleared": {
        "en": "It was withheld: the alert had cleared.",
        "zh-CN": "未发送：警报已自动解除。",
    },
    "withheld.resolved": {
        "en": "It was withheld: the alert had been resolved.",
        "zh-CN": "未发送：警报已处理完毕。",
    },
    "withheld.acknowledged": {
        "en": "It was withheld: somebody had taken the alert in hand.",
        "zh-CN": "未发送：已有人处理该警报。",
    },
    "message.put_off": {
        "en": "It was put off: the provider is out, and is tried again a little later.",
        "zh-CN": "暂缓发送：服务商暂时不可用，稍后再试。",
    },
    "withheld.circuit_open": {
        "en": "It was withheld: the provider was out as long as it would have been of use.",
        "zh-CN": "未发送：在有效时间内服务商一直不可用。",
    },
    "withheld.carrier_same_text": {
        "en": "It was withheld: the carriers of the country reject one text that comes to a number too often.",
        "zh-CN": "未发送：当地运营商拒收短时间内重复发给同一号码的相同内容。",
    },
    "withheld.carrier_texts_a_day": {
        "en": "It was withheld: the carriers of the country hold back more different texts to one number in a day.",
        "zh-CN": "未发送：当地运营商限制一天内发给同一号码的不同内容条数。",
    },
    "withheld.carrier_hours": {
        "en": "It was withheld: it was outside the hours of the carriers of the country.",
        "zh-CN": "未发送：不在当地运营商允许的发送时段。",
    },
    "withheld.carrier_link": {
        "en": "It was withheld: the carriers of the country block links.",
        "zh-CN": "未发送：当地运营商拦截链接。",
    },
    "withheld.carrier_length": {
        "en": "It was withheld: it makes more parts than the carriers of the country allow.",
        "zh-CN": "未发送：超过当地运营商允许的长度。",
    },
    "withheld.carrier_template": {
        "en": "It was withheld: none of its wordings is registered with the provider.",
        "zh-CN": "未发送：该内容尚未在服务商处报备模板。",
    },
    "withheld.carrier_reply": {
        "en": "It was withheld: it asks for an answer, and messages go one way in this country.",
        "zh-CN": "未发送：内容要求回复，而当地只支持单向短信。",
    },
    "withheld.other": {
        "en": "It was withheld ({refusal}).",
        "zh-CN": "未发送（{refusal}）。",
    },
    # Alerts.
    "alert.missed": {
        "en": "An alert was raised ({urgency}): {assessment} of {local_day} had not been received, miss number {misses}"
        " in a row; the study asks for an alert from number {limit} on, for: {roles}.",
        "zh-CN": "产生警报（{urgency}）：未收到 {local_day} 的“{assessment}”，为连续第 {misses} 次；"
        "研究要求从连续第 {limit} 次起警报，通知{roles}。",
    },
    "alert.answer": {
        "en": "An alert was raised ({urgency}): an answer to {assessment} of {local_day} reached the study's rule"
        " '{rule}', for: {roles}.",
        "zh-CN": "产生警报（{urgency}）：{local_day} 的“{assessment}”的回答触发研究规则“{rule}”，"
        "通知{roles}。",
    },
    "alert.call": {
        "en": "An alert was raised ({urgency}): a call is needed. The study keeps the rest from your role.",
        "zh-CN": "产生警报（{urgency}）：需要致电。研究规定您的角色不可查看其他内容。",
    },
    "alert.none_asked": {
        "en": "No alert was raised: the study asks for none when it is missed.",
        "zh-CN": "未产生警报：研究未要求在未收到时警报。",
    },
    "alert.left": {
        "en": "No alert was raised: the participant had left the study by then.",
        "zh-CN": "未产生警报：当时受试者已退出研究。",
    },
    "alert.not_yet": {
        "en": "No alert was raised: the study asks for one after {limit} misses in a row.",
        "zh-CN": "未产生警报：研究要求连续 {limit} 次未收到后才警报。",
    },
    "alert.escalated": {
        "en": "Nobody had taken it in hand for {after}; told next: {role}.",
        "zh-CN": "{after}内无人处理；随后通知{role}。",
    },
    "alert.escalation_ended": {
        "en": "Nobody further is told of it: the participant has left the study, and a call about what was missed is of"
        " no more use.",
        "zh-CN": "不再通知其他人：受试者已退出研究，无需再就漏填联系。",
    },
    "alert.joined": {
        "en": "One more was missed in a row and joined the alert.",
        "zh-CN": "又一次连续未收到，并入该警报。",
    },
    "alert.reduced": {
        "en": "One of those missed was answered in time after all; the alert stands for the others.",
        "zh-CN": "其中一次实际已按时回答；警报仍针对其余各次。",
    },
    "alert.contact_attempted": {
        "en": "{who} tried to reach the participant, by {channel}: {outcome}.{reason}",
        "zh-CN": "{who}尝试联系受试者，方式：{channel}；结果：{outcome}。{reason}",
    },
    "alert.noted": {
        "en": "{who} wrote a note: {note}",
        "zh-CN": "{who}添加备注：{note}",
    },
    "alert.handed_over": {
        "en": "{who} handed it over to {to}.{reason}",
        "zh-CN": "{who}将其移交给{to}。{reason}",
    },
    "alert.reopened": {
        "en": "{who} opened it again.{reason}",
        "zh-CN": "{who}重新打开该警报。{reason}",
    },
    "alert.acknowledged": {
        "en": "It was taken in hand by {who}.{reason}",
        "zh-CN": "{who}已接手处理。{reason}",
    },
    "alert.resolved": {
        "en": "It was resolved by {who}: {outcome}.{reason}",
        "zh-CN": "{who}已处理完毕：{outcome}。{reason}",
    },
    "alert.corrected": {
        "en": "The answer behind it was corrected by {who}; it stands until somebody resolves it.",
        "zh-CN": "{who} 更正了相应的回答；在有人处理完之前预警仍然有效。",
    },
    "alert.cleared": {
        "en": "It cleared by itself: {cause}.",
        "zh-CN": "自动解除：{cause}。",
    },
    "alert.next": {
        "en": "It stands; if nobody takes it in hand, this role is told at {escalate_at}: {role}.",
        "zh-CN": "仍待处理；若无人接手，将于 {escalate_at} 通知{role}。",
    },
    "alert.stands": {
        "en": "It stands: nobody has recorded yet what came of it.",
        "zh-CN": "仍待处理：尚无人记录处理结果。",
    },
    "happened.other": {
        "en": "{action}, by {who}.{reason}",
        "zh-CN": "{action}，操作者：{who}。{reason}",
    },
    # What was sent in, and its scores.
    "response.stored": {
        "en": "An answer to {assessment} of {local_day}, completed at {completed_at}, was received and filed.",
        "zh-CN": "已收到并存档 {local_day} 的“{assessment}”的回答，完成时间为 {completed_at}。",
    },
    "response.finding": {"en": "It was remarked: {finding}", "zh-CN": "备注：{finding}"},
    "response.other_counts": {
        "en": "Another answer to the same counts, because it was completed earlier.",
        "zh-CN": "同一次填写另有更早完成的回答，以那次为准。",
    },
    "response.amended": {
        "en": "Correction {number} was entered by {who}.{reason}",
        "zh-CN": "{who} 录入了第 {number} 次更正。{reason}",
    },
    "score.corrected": {
        "en": "The score for {scale} changed because of correction {number}.",
        "zh-CN": "“{scale}”的得分因第 {number} 次更正而改变。",
    },
    "upload.settled": {
        "en": "{who} settled it: {outcome}.{reason}",
        "zh-CN": "{who} 作了处理：{outcome}。{reason}",
    },
    "upload.held": {
        "en": "An upload was kept whole and held for a person, not filed.",
        "zh-CN": "一次上传已完整保存，暂不存档，等待人工处理。",
    },
    "upload.conflict": {
        "en": "An upload was kept beside another one with the same id and other content.",
        "zh-CN": "一次上传与已有的同编号上传内容不同，两者均保留。",
    },
    "upload.finding": {"en": "The reason: {finding}", "zh-CN": "原因：{finding}"},
    "score.made": {
        "en": "There is a score for {scale}. Items answered: {answered} of {expected}. {rule_words}",
        "zh-CN": "“{scale}”有得分。{expected} 个条目中回答了 {answered} 个。{rule_words}",
    },
    "score.missing": {
        "en": "There is no score for {scale}. {because} Items answered: {answered} of {expected}. {rule_words}"
        " Without an answer: {items_missing}.",
        "zh-CN": "“{scale}”没有得分。{because}{expected} 个条目中回答了 {answered} 个。{rule_words}"
        "未回答：{items_missing}。",
    },
    "score.hidden": {
        "en": "The study keeps scores from your role.",
        "zh-CN": "研究规定您的角色不可查看得分。",
    },
    # The page of one participant.
    "page.open": {
        "en": "{assessment} of {local_day} is open until {closes_at}: no answer has been received yet.",
        "zh-CN": "{local_day} 的“{assessment}”开放至 {closes_at}：尚未收到回答。",
    },
    "page.waiting": {
        "en": "{assessment} of {local_day} has closed; an answer given in time may arrive until {grace_until}.",
        "zh-CN": "{local_day} 的“{assessment}”已关闭；按时完成的回答最迟可于 {grace_until} 送达。",
    },
    "page.next": {
        "en": "{assessment} is due next on {local_day}, day {study_day} after {anchor}: it opens at {opens_at}.",
        "zh-CN": "下一次“{assessment}”在 {local_day}（{anchor}后第 {study_day} 天），{opens_at} 开放。",
    },
    "page.further": {
        "en": "First due {local_day}: {assessment}. Nothing is due before that day.",
        "zh-CN": "最早一项为 {local_day} 的“{assessment}”，此前无需填写。",
    },
    "page.missed": {
        "en": "{assessment} of {local_day} has not been received: it closed at {closes_at}.",
        "zh-CN": "未收到 {local_day} 的“{assessment}”：已于 {closes_at} 关闭。",
    },
    "page.alert": {
        "en": "An alert stands ({urgency}): {short}.",
        "zh-CN": "有待处理的警报（{urgency}）：{short}。",
    },
    "page.held": {
        "en": "An upload is held for a person: {finding}",
        "zh-CN": "有一次上传等待人工处理：{finding}",
    },
    "page.opted_out": {
        "en": "The participant wants no messages: no reminder goes out.",
        "zh-CN": "受试者不希望收到消息：不发送提醒。",
    },
    "page.withdrawn": {
        "en": "The participant was withdrawn by {who}: nothing more is due.{reason}",
        "zh-CN": "{who}已为受试者办理退出：不再有到期事项。{reason}",
    },
}
